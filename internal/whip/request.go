package whip

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// authorization is the bearer of the request, empty where there is none.
func authorization(r *http.Request) (stage.Secret, error) {
	value := r.Header.Get("Authorization")
	if value == "" {
		return stage.Secret{}, nil
	}
	scheme, text, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110, 11.1: a scheme is case-insensitive
		return stage.Secret{}, stage.Errorf(stage.ErrUnauthorized, "The token is sent as a bearer: Authorization: Bearer <token>.").WithCode("token_missing")
	}
	return stage.NewSecret(strings.TrimSpace(text)), nil
}

// beacon reads the token that the IVS web SDK sends when its tab is closed: navigator.sendBeacon can neither set a
// header nor use another method than POST.
func beacon(w http.ResponseWriter, r *http.Request) (stage.Secret, error) {
	text, err := readBody(w, r, maxSmall)
	if err != nil {
		return stage.Secret{}, err
	}
	var body struct {
		Authorization string `json:"authorization"`
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		return stage.Secret{}, errJSON()
	}
	return stage.NewSecret(body.Authorization), nil
}

// acceptable holds a POST to RFC 9725, 4.2: an SDP comes in, and an SDP must be welcome in return.
func acceptable(r *http.Request) error {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != sdpType {
		return stage.Errorf(stage.ErrInvalid, "An offer is sent with Content-Type: %s.", sdpType).WithCode("unsupported_media_type")
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept != "" && !slices.ContainsFunc(strings.Split(accept, ","), welcomesSDP) {
		return stage.Errorf(stage.ErrInvalid, "The answer is %s, and the request accepts something else only.", sdpType).WithCode("not_acceptable")
	}
	return nil
}

func welcomesSDP(item string) bool {
	mediaType, params, err := mime.ParseMediaType(strings.TrimSpace(item))
	if err != nil || strings.TrimRight(params["q"], ".0") == "" && params["q"] != "" {
		return false
	}
	return mediaType == sdpType || mediaType == "application/*" || mediaType == "*/*"
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", stage.Errorf(stage.ErrTooLarge, "The body has more than %d KiB.", limit>>10).WithCode("too_large")
	case err != nil:
		return "", stage.Errorf(stage.ErrInvalid, "The body did not arrive in full.").WithCode("bad_body").WithCause(err)
	}
	return string(content), nil
}

func errJSON() error {
	return stage.Errorf(stage.ErrInvalid, "The body is not the JSON expected here.").WithCode("bad_json")
}

// address is the client's, for the throttle and the log.
func (h *Handler) address(r *http.Request) netip.Addr {
	if h.Address != nil {
		return h.Address(r)
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from.Addr().Unmap()
}
