package web

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bodyPatience is how long a body may take before its sender is authenticated again. Most bodies
// arrive together with their header.
const bodyPatience = 250 * time.Millisecond

// A slowBody authenticates its request again at the end of a body that took long. If the credential
// was revoked meanwhile, the server refuses the request.
type slowBody struct {
	io.ReadCloser
	now   func() time.Time
	since time.Time // of the last authentication
	again func() error
}

// recheck wraps the body of an authenticated request in a slowBody.
func recheck(r *http.Request, now func() time.Time, again func() error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &slowBody{r.Body, now, now(), again}
	}
}

// Read implements io.Reader.
func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && b.now().Sub(b.since) > bodyPatience {
		if refused := b.again(); refused != nil {
			return 0, refused
		}
	}
	return n, err
}
