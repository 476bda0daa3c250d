package whip

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// An ICEServer is a STUN or TURN server that clients may use (RFC 9725, 4.6).
type ICEServer struct {
	URL        string // for example turn:turn.example.com?transport=udp
	Username   string // for TURN
	Credential stage.Secret
}

// link returns the value of a Link header for the server, in the form that OBS and browser clients
// read.
func (s ICEServer) link() string {
	text := "<" + s.URL + `>; rel="ice-server"`
	if s.Username != "" {
		text += "; username=" + quoted(s.Username) +
			"; credential=" + quoted(s.Credential.Reveal()) + `; credential-type="password"`
	}
	return text
}

// quoted returns a quoted-string (RFC 9110, 5.6.4).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// patch accepts the candidates of a client that uses trickle ICE (RFC 9725, 4.3.2) and ignores
// them. The answer contains all candidates of the stage, and the client's own connectivity checks
// reveal its address. An ICE restart is refused with the status that 4.3.1 requires of a server
// that supports only trickle ICE.
//
// The secret in the URL authorizes the request, because clients such as MediaMTX's send no token.
// By 4.3.3, the header "If-Match: *" marks a restart. It is ignored, because those clients send it
// with each PATCH.
func patch(w http.ResponseWriter, r *http.Request, s *session) error {
	if err := hasType(r, fragmentType); err != nil {
		return err
	}
	fragment, err := readBody(w, r, maxSmall)
	if err != nil {
		return err
	}
	if tag := r.Header.Get("If-Match"); tag != "" && tag != "*" && tag != s.etag {
		return stage.Errorf(stage.ErrConflict, "The ETag is not that of this session.").
			WithCode("wrong_etag")
	}
	for _, fragment := range userFragments(fragment) {
		if !slices.Contains(s.userFragments, fragment) {
			return stage.Errorf(stage.ErrInvalid, "ICE restarts are not supported: open a "+
				"new session with the same token. It replaces this one.").WithCode("ice_restart")
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// userFragments lists the ICE user names in an SDP or in an SDP fragment (RFC 8839, 5.4).
func userFragments(sdp string) (list []string) {
	for line := range strings.Lines(sdp) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "a=ice-ufrag:"); ok {
			list = append(list, name)
		}
	}
	return list
}
