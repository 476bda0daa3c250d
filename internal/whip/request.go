package whip

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxOffer = 64 << 10 // a browser's offer with all codecs and simulcast has some 6 KB
	maxSmall = 16 << 10 // limit of all other bodies: a token, a layer, candidates

	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag" // RFC 8840
)

// bearerOfBeacon reads the token that the IVS web SDK sends in a POST body when its tab is closed.
// The SDK uses navigator.sendBeacon, which sets no header and only sends POST.
func bearerOfBeacon(w http.ResponseWriter, r *http.Request) (stage.Secret, error) {
	var body struct {
		Authorization string `json:"authorization"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return stage.Secret{}, err
	}
	return stage.NewSecret(body.Authorization), nil
}

// acceptable checks a POST by RFC 9725, 4.2: its body must be an SDP, and the client must accept an
// SDP.
func acceptable(r *http.Request) error {
	if err := hasType(r, sdpType); err != nil {
		return err
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept != "" && !slices.ContainsFunc(strings.Split(accept, ","), acceptsSDP) {
		return stage.Errorf(stage.ErrInvalid,
			"The answer is %s, which the Accept header of the request does not allow.", sdpType).
			WithCode("not_acceptable")
	}
	return nil
}

func acceptsSDP(item string) bool {
	mediaType, params, err := mime.ParseMediaType(strings.TrimSpace(item))
	if err != nil || strings.TrimRight(params["q"], ".0") == "" && params["q"] != "" {
		return false
	}
	return mediaType == sdpType || mediaType == "application/*" || mediaType == "*/*"
}

func hasType(r *http.Request, want string) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != want {
		return stage.Errorf(stage.ErrInvalid, "Send the body with Content-Type: %s.", want).
			WithCode("unsupported_media_type")
	}
	return nil
}

// readSDP reads an offer. It detects that curl -d has removed all line ends.
func readSDP(w http.ResponseWriter, r *http.Request) (string, error) {
	sdp, err := readBody(w, r, maxOffer)
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(sdp, "v=0o="):
		return "", stage.Errorf(stage.ErrInvalid, "The lines of the offer have no ends. Send it "+
			"as it is: curl does with --data-binary, not with -d.").WithCode("bad_sdp")
	}
	return sdp, nil
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110, 15.5.16
		return "", stage.Errorf(stage.ErrInvalid, "The body is sent as it is, without "+
			"Content-Encoding: compressed bodies are not read.").WithCode("unsupported_encoding")
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", stage.Errorf(stage.ErrTooLarge, "The body has more than %d KiB.", limit>>10).
			WithCode("too_large")
	case err != nil:
		return "", stage.Errorf(stage.ErrInvalid, "The body did not arrive in full.").
			WithCode("bad_body").WithCause(err)
	}
	return string(content), nil
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := readBody(w, r, maxSmall)
	if err != nil {
		return err
	}
	if json.Unmarshal([]byte(text), into) != nil {
		return stage.Errorf(stage.ErrInvalid, "The body is not the JSON expected here.").
			WithCode("bad_json")
	}
	return nil
}
