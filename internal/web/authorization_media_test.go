package web_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/web"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// mediaPatterns lists the routes outside the router of package web.
func mediaPatterns() []string { return append(whip.Patterns(), "GET /"+signal.Path) }

// mediaObjects lists the objects of the routes outside the router. A session is a subscription to
// bea's participant on the stage `main` or `side`.
var mediaObjects = map[string][]target{
	"POST /whip": {{request: func(h *harness, _ caller) (string, any) {
		return "/whip", h.offer("obs-30.2")
	}}},
	"POST /whip/publish/{participant}": ofParticipant("/whip/publish/", "obs-30.2"),
	"POST /whip/subscribe/{publisher}": ofPublisher("/whip/subscribe/"),
	"POST /whep/{publisher}":           ofPublisher("/whep/"),
	"DELETE /whip/s/{secret}":          ofSession("", nil),
	"PATCH /whip/s/{secret}":           ofSession("", raw{"application/trickle-ice-sdpfrag", ""}),
	"POST /whip/s/{secret}":            ofSession("", beacon),
	"GET /whip/s/{secret}/layers":      ofSession("/layers", nil),
	"POST /whip/s/{secret}/layers":     ofSession("/layers", struct{}{}),
	"POST /whip/s/{secret}/playback":   ofSession("/playback", struct{}{}),
	"GET /" + signal.Path: ownAndForeign(func(_ *harness, _ caller, arn string) (string, any) {
		return "/" + signal.Path + "?topic=" + stage.ARN(arnOf(arn)).ID() + "/publishers", nil
	}),
}

// A raw is a body that is not JSON.
type raw struct{ kind, text string }

func (h *harness) offer(name string) raw {
	h.t.Helper()
	text, err := os.ReadFile("../sfu/testdata/offers/" + name + ".sdp")
	if err != nil {
		h.t.Fatal(err)
	}
	return raw{"application/sdp", string(text)}
}

// beacon is the body of a request that ends a session and has no Authorization header: the body
// contains the bearer token.
func beacon(who caller) any { return map[string]string{"authorization": who.Key} }

// ofParticipant returns targets for a route that names the participant of the token.
func ofParticipant(path, offer string) []target {
	return []target{
		{name: "own", request: func(h *harness, who caller) (string, any) {
			return path + participantOf(h.mediaToken(who, h.main)), h.offer(offer)
		}},
		{name: "another's", request: func(h *harness, _ caller) (string, any) {
			return path + participantOf(h.mediaToken(h.bea, h.main)), h.offer(offer)
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return path + participantOf(h.mediaToken(h.bea, h.side)), h.offer(offer)
		}},
	}
}

// ofPublisher returns targets for a route that subscribes to a publisher.
func ofPublisher(path string) []target {
	return []target{
		{name: "another's", request: func(h *harness, _ caller) (string, any) {
			return path + h.publisher(h.main), h.offer("chromium-view")
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return path + h.publisher(h.side), h.offer("chromium-view")
		}},
	}
}

// ofSession returns targets for a route below a session URL. The body may be a function of the
// caller.
func ofSession(rest string, body any) []target {
	request := func(open func(h *harness, who caller) string) func(*harness, caller) (string, any) {
		return func(h *harness, who caller) (string, any) {
			if of, ok := body.(func(caller) any); ok {
				return open(h, who) + rest, of(who)
			}
			return open(h, who) + rest, body
		}
	}
	return []target{
		{name: "own", request: request(func(h *harness, who caller) string {
			return h.session(who, h.main)
		})},
		{name: "another's", request: request(func(h *harness, _ caller) string {
			return h.session(h.bea, h.main)
		})},
		{name: "foreign", request: request(func(h *harness, _ caller) string {
			return h.session(h.bea, h.side)
		})},
		{name: "guessed", request: request(func(*harness, caller) string {
			return "/whip/s/guessed"
		})},
	}
}

// mediaToken returns the participant token of a caller for a stage: the credential of the caller,
// or one that the owner requests. It returns "" if the owner may not request one.
func (h *harness) mediaToken(of caller, arn stage.ARN) string {
	if of.token != "" {
		return of.token
	}
	key := string(of.id) + " " + string(arn)
	if h.tokens[key] == "" {
		_, _, text := of.owner.Do("POST", "/api/tokens", map[string]any{"stage": arn})
		var made web.Token
		if err := json.Unmarshal(text, &made); err != nil {
			h.t.Fatal(err)
		}
		h.tokens[key] = made.Token
	}
	return h.tokens[key]
}

// participantOf returns the participant ID in a token, or an ID that does not exist.
func participantOf(bearer string) string {
	var claims struct {
		ID string `json:"jti"`
	}
	if parts := strings.Split(bearer, "."); len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		json.Unmarshal(text, &claims)
	}
	if claims.ID == "" {
		return "nothing"
	}
	return claims.ID
}

// publisher returns the ID of a participant of bea's who publishes on a stage. It publishes again
// for each request: because no media follows, an earlier publication may have ended.
func (h *harness) publisher(arn stage.ARN) string {
	bearer := h.mediaToken(h.bea, arn)
	if h.open(bearer, "/whip", h.offer("obs-30.2")) == "" {
		h.t.Fatal("bea cannot publish")
	}
	return participantOf(bearer)
}

// session returns the URL of a new subscription of a caller, or of one that does not exist if the
// caller may not subscribe.
func (h *harness) session(of caller, arn stage.ARN) string {
	path := "/whep/" + h.publisher(arn)
	if session := h.open(h.mediaToken(of, arn), path, h.offer("chromium-view")); session != "" {
		return session
	}
	return "/whip/s/nothing"
}

// open opens a session and returns its URL, or "" if the session was refused.
func (h *harness) open(bearer, path string, offer raw) string {
	if bearer == "" {
		return ""
	}
	client := h.Browser()
	client.Key = bearer
	_, header, _ := client.Send("POST", path, offer.kind, strings.NewReader(offer.text))
	return header.Get("Location")
}

// join opens the events socket of a stage. The server refuses over the socket, so join returns the
// status that corresponds to the refusal.
func (h *harness) join(who caller, path string) int {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	options := &websocket.DialOptions{HTTPClient: who.HTTP}
	if who.Key != "" {
		options.Subprotocols = []string{who.Key}
	}
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.URL, "http")+path, options)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.CloseNow()
	var message struct {
		Type    string
		Payload json.RawMessage
	}
	if err := wsjson.Read(ctx, conn, &message); err != nil {
		h.t.Fatal(err)
	}
	if strings.HasSuffix(message.Type, "STAGE_STATE") {
		return http.StatusSwitchingProtocols
	}
	var refusal struct{ Code string }
	json.Unmarshal(message.Payload, &refusal)
	switch code := refusal.Code; {
	case strings.HasPrefix(code, "TOKEN_"):
		return http.StatusUnauthorized
	case code == "PARTICIPANT_DISCONNECTED":
		return http.StatusForbidden
	case code == "BAD_REQUEST":
		return http.StatusBadRequest
	}
	h.t.Errorf("GET %s: got %s %s, want the state or a refusal", path, message.Type,
		message.Payload)
	return 0
}

// expiredToken returns a token of the owner that expired an hour ago.
func expiredToken(h *harness, owner *apptest.Client) string {
	key, err := token.LoadKey(filepath.Join(h.Data, "local-key.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := token.LocalKeyID(&key.PublicKey)
	if err != nil {
		h.t.Fatal(err)
	}
	made := owner.Token("")
	signer := token.Signer{
		Key: key, KeyID: id,
		Endpoints: func(context.Context, stage.ARN) (stage.Endpoints, error) {
			return stage.Endpoints{
				WHIP:   h.URL + "/whip",
				Events: "ws" + strings.TrimPrefix(h.URL, "http") + "/" + signal.Path,
			}, nil
		},
		Now:   func() time.Time { return time.Now().Add(-time.Hour - stage.MinTTL) },
		NewID: func() string { return string(made.ParticipantID) },
	}
	expired, err := signer.IssueToken(h.t.Context(), stage.TokenRequest{
		Stage: h.main, UserID: string(owner.Me().ID),
		Capabilities: stage.Publish | stage.Subscribe, TTL: stage.MinTTL,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return expired.Secret.Reveal()
}

// revokedToken returns a token that its owner has revoked.
func revokedToken(h *harness, owner *apptest.Client) string {
	made := owner.Token("")
	owner.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(made.ParticipantID), nil, nil)
	return made.Token
}
