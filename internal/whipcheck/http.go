package whipcheck

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	sdpType     = "application/sdp"
	fragType    = "application/trickle-ice-sdpfrag"
	maxBody     = 1 << 20
	maxHeaders  = 64 << 10
	maxRedirect = 10
	// OBS sends a User-Agent of this form, and some endpoints depend on it.
	userAgent = "Mozilla/5.0 (OBS-Studio/32.2.2; Linux x86_64; en-US) stagedoor-whip-check"
)

// An exchange is one request and its response. The field `raw` is the head of the response as it
// was sent. OBS requires a space after the colon of a header, and net/http hides whether there is
// one.
type exchange struct {
	status   int
	header   http.Header
	body     []byte
	raw      string
	at       *url.URL // the URL that answered
	hops     []int    // the statuses of the redirects before the response
	duration time.Duration
}

// A request describes an HTTP request. Empty fields are omitted.
type request struct {
	method      string
	url         *url.URL
	contentType string
	body        string
	bearer      string
	header      map[string]string
}

// do sends a request and follows redirects as OBS does: it sends the bearer to each URL, and keeps
// the method only for 307 and 308.
func (r *run) do(ctx context.Context, q request) (exchange, error) {
	ctx, cancel := context.WithTimeout(ctx, r.AnswerLimit+2*time.Second)
	defer cancel()
	begin := time.Now()
	var hops []int
	for {
		x, err := r.once(ctx, q)
		x.hops, x.duration = hops, time.Since(begin)
		next := x.redirect()
		if err != nil || next == nil || len(hops) >= maxRedirect {
			return x, err
		}
		hops = append(hops, x.status)
		q.url = next
		if x.status != http.StatusTemporaryRedirect && x.status != http.StatusPermanentRedirect {
			q.method, q.body, q.contentType = http.MethodGet, "", ""
		}
	}
}

func (x exchange) redirect() *url.URL {
	if x.status < 300 || x.status > 399 || x.header.Get("Location") == "" {
		return nil
	}
	next, err := x.at.Parse(x.header.Get("Location"))
	if err != nil {
		return nil
	}
	return next
}

func (r *run) once(ctx context.Context, q request) (exchange, error) {
	head := &recorder{}
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), body)
	if err != nil {
		return exchange{at: q.url}, err
	}
	req.Header.Set("User-Agent", userAgent)
	if q.contentType != "" {
		req.Header.Set("Content-Type", q.contentType)
	}
	if q.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	answer, err := r.recording(head).RoundTrip(req)
	if err != nil {
		return exchange{at: q.url}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	return exchange{
		status: answer.StatusCode, header: answer.Header, body: text, raw: head.text(), at: q.url,
	}, err
}

// recording returns a transport whose connections copy the received bytes into `head`. Each
// connection serves one request.
func (r *run) recording(head *recorder) http.RoundTripper {
	t := &http.Transport{}
	if r.Transport != nil {
		t = r.Transport.Clone()
	}
	dialer := &net.Dialer{Timeout: r.AnswerLimit}
	t.DisableKeepAlives = true
	t.Proxy = nil
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		return recordedConn{c, head}, err
	}
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		config := t.TLSClientConfig.Clone()
		if config == nil {
			config = &tls.Config{}
		}
		config.NextProtos = []string{"http/1.1"}
		c, err := (&tls.Dialer{NetDialer: dialer, Config: config}).
			DialContext(ctx, network, address)
		return recordedConn{c, head}, err
	}
	return t
}

// A recorder stores the first bytes that arrive.
type recorder struct {
	mu  sync.Mutex
	got bytes.Buffer // guarded by mu
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	head, _, _ := strings.Cut(r.got.String(), "\r\n\r\n")
	return head
}

type recordedConn struct {
	net.Conn
	head *recorder
}

func (c recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.head.mu.Lock()
	defer c.head.mu.Unlock()
	c.head.got.Write(b[:max(0, min(n, maxHeaders-c.head.got.Len()))])
	return n, err
}

// post sends an offer with the given bearer.
func (r *run) post(ctx context.Context, offer, bearer string) (exchange, error) {
	return r.do(ctx, request{
		method: http.MethodPost, url: r.endpoint, contentType: sdpType, body: offer, bearer: bearer,
	})
}

// withOurs sends a request for a session, with the bearer that opened the session.
func (r *run) withOurs(
	ctx context.Context, method string, u *url.URL, q request,
) (exchange, error) {
	q.method, q.url, q.bearer = method, u, r.Token.Reveal()
	return r.once(ctx, q)
}

// said describes a response in a few words, without the bearer.
func (r *run) said(x exchange) string {
	text := fmt.Sprintf("%d %s", x.status, http.StatusText(x.status))
	if body := strings.Join(strings.Fields(string(x.body)), " "); body != "" && x.status >= 400 {
		text += ": " + r.clean(body, 160)
	}
	return text
}

// clean makes a text from the endpoint safe for a terminal: it removes control characters and the
// bearer.
func (r *run) clean(text string, most int) string {
	if secret := r.Token.Reveal(); secret != "" {
		text = strings.ReplaceAll(text, secret, "•••")
	}
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e ||
			c >= 0x2066 && c <= 0x2069 {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}
