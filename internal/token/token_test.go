package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

const (
	arn = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh")
	kid = "arn:aws:ivs:us-west-2:123456789012:public-key/f99cde61-c2b0-4df3-8941-ca7d38acca1a"
)

// The times and names are those of the example in "Distribute Tokens".
var (
	issued    = time.Unix(1697149263, 0)
	endpoints = stage.Endpoints{
		WHIP:   "https://114ddfabadaf.global-bm.whip.live-video.net",
		Events: "wss://global.events.live-video.net",
	}
)

// A harness is an issuer with a verifier that accepts its tokens.
type harness struct {
	key      *ecdsa.PrivateKey
	signer   *token.Signer
	verifier *token.Verifier
	now      time.Time
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{key: key, now: issued}
	stages := func(_ context.Context, a stage.ARN) (stage.Endpoints, error) {
		if a != arn {
			return stage.Endpoints{}, stage.Errorf(stage.ErrNotFound, "there is no such stage")
		}
		return endpoints, nil
	}
	h.signer = &token.Signer{Key: key, KeyID: kid, Endpoints: stages,
		Now: func() time.Time { return h.now }, NewID: func() string { return "Mx6clRRHODPy" }}
	h.verifier = &token.Verifier{
		Keys: token.Keys{kid: &key.PublicKey}, Endpoints: stages, Now: h.signer.Now,
		Leeway: 5 * time.Second,
	}
	return h
}

func request() stage.TokenRequest {
	return stage.TokenRequest{
		Stage: arn, UserID: "ana", Attributes: map[string]string{"name": "Ana"},
		Capabilities: stage.Publish | stage.Subscribe, TTL: 48 * time.Hour,
	}
}

func (h *harness) issue(t testing.TB, req stage.TokenRequest) stage.ParticipantToken {
	t.Helper()
	issued, err := h.signer.IssueToken(t.Context(), req)
	if err != nil {
		t.Fatalf("IssueToken: %v", err)
	}
	return issued
}

// forge signs claims that a Signer does not create. A nil value removes a claim.
func (h *harness) forge(t testing.TB, change map[string]any) stage.Secret {
	t.Helper()
	claims := jwt.MapClaims{
		"exp": issued.Add(time.Hour).Unix(), "iat": issued.Unix(), "jti": "Mx6clRRHODPy",
		"resource": string(arn), "topic": arn.ID(),
		"events_url": endpoints.Events, "whip_url": endpoints.WHIP, "version": "1.0",
		"capabilities": map[string]bool{"allow_publish": true},
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	tok := jwt.NewWithClaims(jwt.SigningMethodES384, claims)
	tok.Header["kid"] = kid
	text, err := tok.SignedString(h.key)
	if err != nil {
		t.Fatal(err)
	}
	return stage.NewSecret(text)
}

func part(t *testing.T, tok stage.ParticipantToken, n int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(tok.Secret.Reveal(), ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTokenIsThatOfTheGuide(t *testing.T) {
	t.Parallel()
	tok := newHarness(t).issue(t, request())
	var want map[string]any
	err := json.Unmarshal([]byte(`{"exp":1697322063,"iat":1697149263,"jti":"Mx6clRRHODPy","user_id":"ana",
		"resource":"arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh","topic":"abcdABCDefgh",
		"events_url":"wss://global.events.live-video.net","whip_url":"https://114ddfabadaf.global-bm.whip.live-video.net",
		"capabilities":{"allow_publish":true,"allow_subscribe":true},"attributes":{"name":"Ana"},"version":"1.0"}`), &want)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asJSON(t, part(t, tok, 1)), asJSON(t, want); got != want {
		t.Errorf("claims:\n got %s\nwant %s", got, want)
	}
	if got, want := asJSON(t, part(t, tok, 0)), asJSON(t,
		map[string]any{"alg": "ES384", "typ": "JWT", "kid": kid}); got != want {
		t.Errorf("header: got %s, want %s", got, want)
	}
	if got, want := tok.WHIPEndpoint, endpoints.WHIP; got != want {
		t.Errorf("endpoint: got %s, want %s", got, want)
	}
}

func TestOnlyCapabilitiesThatAreGivenAreNamed(t *testing.T) {
	t.Parallel()
	req := request()
	req.Capabilities, req.UserID, req.Attributes = stage.Subscribe, "", nil
	claims := part(t, newHarness(t).issue(t, req), 1)
	if got, want := asJSON(t, claims["capabilities"]), `{"allow_subscribe":true}`; got != want {
		t.Errorf("capabilities: got %s, want %s", got, want)
	}
	for _, absent := range []string{"user_id", "attributes", "nbf", "iss", "aud"} {
		if v, ok := claims[absent]; ok {
			t.Errorf("claim %s: got %v, want none", absent, v)
		}
	}
}

// TestSignatureIsOfRFC7518 verifies signatures with a library. It needs many of them, because a
// scalar that begins with zeros is rare.
func TestSignatureIsOfRFC7518(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 300 {
		tok := h.issue(t, request())
		_, err := jwt.Parse(tok.Secret.Reveal(), func(*jwt.Token) (any,
			error) {
			return &h.key.PublicKey, nil
		},
			jwt.WithValidMethods([]string{"ES384"}), jwt.WithTimeFunc(h.signer.Now))
		if err != nil {
			t.Fatalf("jwt.Parse: %v", err)
		}
	}
}

func TestVerifyAdmitsWhatWasIssued(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, form := range []token.Form{token.SelfSigned, token.APIMade} {
		h.signer.Form, h.verifier.APIKey = form, &h.key.PublicKey
		tok := h.issue(t, request())
		p, err := h.verifier.Verify(t.Context(), tok.Secret)
		if err != nil {
			t.Fatalf("form %d: %v", form, err)
		}
		if got, want := asJSON(t, p), asJSON(t, tok.Participant); got != want {
			t.Errorf("form %d: got %s, want %s", form, got, want)
		}
	}
}

func TestAPIMadeTokensLookLikeThoseOfAWS(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signer.Form = token.APIMade
	tok := h.issue(t, request())
	if got, want := asJSON(t, part(t, tok, 0)), `{"alg":"KMS","typ":"JWT"}`; got != want {
		t.Errorf("header: got %s, want %s", got, want)
	}
	if _, err := h.verifier.Verify(t.Context(), tok.Secret); code(err) != "token_signature" {
		t.Errorf("a verifier without the key of the API: got %v, want token_signature", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	good := h.issue(t, request()).Secret.Reveal()
	foreign := newHarness(t).issue(t, request()).Secret
	pieces := strings.Split(good, ".")
	withHeader := func(header string) stage.Secret {
		return stage.NewSecret(base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
			pieces[1] + "." + pieces[2])
	}
	hour := issued.Add(time.Hour).Unix()
	for name, c := range map[string]struct {
		bearer stage.Secret
		code   string
	}{
		"nothing": {stage.Secret{}, "token_missing"},
		"not a token": {stage.NewSecret("rt_123456789012_us-west-2_key"),
			"token_malformed"},
		"a megabyte": {stage.NewSecret(strings.Repeat("a", 1<<20)),
			"token_malformed"},
		"a token padded over 8 KB": {h.forge(t,
			map[string]any{"user_id": strings.Repeat("u", 9<<10)}), "token_malformed"},
		"four parts":               {stage.NewSecret(good + ".x"), "token_malformed"},
		"cut in the signature":     {stage.NewSecret(good[:len(good)-20]), "token_signature"},
		"cut to what is no base64": {stage.NewSecret(good[:len(good)-7]), "token_signature"},
		"cut in the claims":        {stage.NewSecret(good[:200]), "token_malformed"},
		"no signature": {stage.NewSecret(pieces[0] + "." + pieces[1] + "."),
			"token_signature"},
		"another's signature": {stage.NewSecret(
			pieces[0] + "." + pieces[1] + "." + strings.Split(foreign.Reveal(), ".")[2]),
			"token_signature"},
		"signed by another key": {foreign, "token_signature"},
		"alg none":              {withHeader(`{"alg":"none","typ":"JWT"}`), "token_malformed"},
		"alg HS256":             {withHeader(`{"alg":"HS256","kid":"` + kid + `"}`), "token_malformed"},
		"alg ES256":             {withHeader(`{"alg":"ES256","kid":"` + kid + `"}`), "token_malformed"},
		"alg KMS with its kid":  {withHeader(`{"alg":"KMS","kid":"` + kid + `"}`), "token_signature"},
		"alg a number":          {withHeader(`{"alg":384}`), "token_malformed"},
		"no kid":                {withHeader(`{"alg":"ES384"}`), "token_signature"},
		"unknown kid":           {withHeader(`{"alg":"ES384","kid":"arn:aws:ivs:us-west-2:1:public-key/other"}`), "token_signature"},
		"expired": {h.forge(t, map[string]any{"iat": issued.Unix() - 60,
			"exp": issued.Unix()}), "token_expired"},
		"no exp":     {h.forge(t, map[string]any{"exp": nil}), "token_malformed"},
		"no iat":     {h.forge(t, map[string]any{"iat": nil}), "token_malformed"},
		"exp a word": {h.forge(t, map[string]any{"exp": "soon"}), "token_malformed"},
		"of the future": {h.forge(t, map[string]any{"iat": issued.Unix() + 6}),
			"token_not_yet_valid"},
		"more than 14 days": {h.forge(t,
			map[string]any{"exp": issued.Add(14*24*time.Hour + time.Second).Unix()}),
			"token_malformed"},
		"no version":  {h.forge(t, map[string]any{"version": nil}), "token_version"},
		"version 1.2": {h.forge(t, map[string]any{"version": "1.2"}), "token_version"},
		"jti with a slash": {h.forge(t, map[string]any{"jti": "../../etc"}),
			"token_malformed"},
		"jti too long": {h.forge(t, map[string]any{"jti": strings.Repeat("j", 65)}),
			"token_malformed"},
		"no jti": {h.forge(t, map[string]any{"jti": nil}), "token_malformed"},
		"resource no ARN": {h.forge(t, map[string]any{"resource": "main"}),
			"token_malformed"},
		"stage that is gone": {h.forge(t, map[string]any{"resource": string(arn) + "x",
			"topic": arn.ID() + "x"}), "stage_gone"},
		"topic of another stage": {h.forge(t, map[string]any{"topic": "other"}),
			"token_wrong_stage"},
		"whip_url elsewhere": {h.forge(t, map[string]any{"whip_url": "https://evil.example"}),
			"token_wrong_stage"},
		"events_url elsewhere": {h.forge(t, map[string]any{"events_url": "wss://evil.example"}),
			"token_wrong_stage"},
		"no capability": {h.forge(t,
			map[string]any{"capabilities": map[string]bool{"allow_publish": false}}),
			"token_malformed"},
		"capabilities a list": {h.forge(t,
			map[string]any{"capabilities": []string{"PUBLISH"}}), "token_malformed"},
		"attributes over 1 KB": {h.forge(t,
			map[string]any{"attributes": map[string]string{"a": strings.Repeat("x", 1024)}}),
			"token_malformed"},
		"a critical extension": {withHeader(`{"alg":"ES384","kid":"` + kid + `","crit":["b64"]}`), "token_malformed"},
		"a line break": {stage.NewSecret(good[:50] + "\n" + good[50:]),
			"token_malformed"},
		"exp beyond all time": {h.forge(t, map[string]any{"iat": hour, "exp": 1e300}),
			"token_not_yet_valid|token_malformed|token_expired"},
	} {
		p, err := h.verifier.Verify(t.Context(), c.bearer)
		if !strings.Contains(c.code, code(err)) || err == nil {
			t.Errorf("%s: got code %q (%v), want %s", name, code(err), err, c.code)
			continue
		}
		if !errors.Is(err, stage.ErrUnauthorized) {
			t.Errorf("%s: got %v, want an ErrUnauthorized", name, err)
		}
		if p.Capabilities != 0 || p.UserID != "" || p.Attributes != nil {
			t.Errorf("%s: got %+v, want no more than the claimed ID and stage", name, p)
		}
	}
}

// TestWrongClaimIsNamed: the error names the wrong claim, for programs that sign their own tokens.
func TestWrongClaimIsNamed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, c := range []struct {
		claim string
		value any
		want  string
	}{
		{"version", 1.0, `The token's claim "version" must be the text "1.0", in quotation marks, not a number.`},
		{"attributes", map[string]any{"seat": 12},
			`The token's claim "attributes" must be an object whose values are all text, not a number.`},
		{"capabilities", []string{"PUBLISH"},
			`The token's claim "capabilities" must be an object such as {"allow_publish":true}, not a list.`},
		{"capabilities", map[string]any{"allow_publish": "true"},
			`The token's claim "capabilities.allow_publish" must be true or false, not a text.`},
		{"exp", "2026-11-28", `The token's claim "exp" must be a number of seconds since 1970, not a text.`},
		{"user_id", 7, `The token's claim "user_id" must be a text, not a number.`},
		{"jti", "two words", `The token's claim "jti" names the participant: 1 to 64 letters, digits, _ and -.`},
		{"exp", nil, `The token's claims "iat" and "exp" must say when it was issued and when it expires.`},
		{"version", "1.2", `The token's claim "version" must be "1.0": no other version is known here.`},
	} {
		forged := h.forge(t, map[string]any{c.claim: c.value})
		_, err := h.verifier.Verify(t.Context(), forged)
		if got := detail(err); got != c.want {
			t.Errorf("%s %v: got %q, want %q", c.claim, c.value, got, c.want)
		}
		// If the signature is wrong, the error must not describe the claims.
		parts := strings.Split(forged.Reveal(), ".")
		_, err = h.verifier.Verify(t.Context(), stage.NewSecret(
			parts[0]+"."+parts[1]+"."+strings.Repeat("A", 128)))
		if code(err) != stage.CodeSignature {
			t.Errorf("%s %v, not signed: got %v, want %s", c.claim, c.value, err,
				stage.CodeSignature)
		}
	}
}

// TestTimesWithAFraction: a NumericDate may have a fraction (RFC 7519, 2).
func TestTimesWithAFraction(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	forged := h.forge(t, map[string]any{"exp": float64(issued.Unix()) + 3600.25})
	p, err := h.verifier.Verify(t.Context(), forged)
	if want := issued.Add(3600*time.Second + 250*time.Millisecond); err != nil ||
		!p.ExpiresAt.Equal(want) {
		t.Errorf("got %v, %v, want %v", p.ExpiresAt, err, want)
	}
}

// TestRefusedTokenTellsItsOwner: the refusal contains the participant in the token, so that it can
// be shown in the dock of that user. Invalid text in the token is not passed on.
func TestRefusedTokenTellsItsOwner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	expired := h.issue(t, request()).Secret
	h.now = issued.Add(48 * time.Hour)
	p, err := h.verifier.Verify(t.Context(), expired)
	if code(err) != "token_expired" || p.ID != "Mx6clRRHODPy" || p.Stage != arn {
		t.Errorf("expired: got %s %s (%v), want the claimed participant and stage",
			p.ID, p.Stage, err)
	}
	p, _ = h.verifier.Verify(t.Context(), h.forge(t, map[string]any{"jti": "a\nb"}))
	if p.ID != "" || p.Stage != "" {
		t.Errorf("a jti that is none: got %+v, want nobody", p)
	}
}

func TestErrorsHoldNothingOfTheToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	secret := h.forge(t, map[string]any{"version": "SECRETVERSION", "capabilities": "SECRETCAP"}).
		Reveal()
	for _, bearer := range []string{secret, secret[:300], "SECRETword.SECRETword.SECRETword",
		"Bearer " + secret} {
		_, err := h.verifier.Verify(t.Context(), stage.NewSecret(bearer))
		for n := 0; n+12 <= len(bearer); n += 12 {
			if strings.Contains(err.Error(), bearer[n:n+12]) {
				t.Errorf("the error repeats a part of the token: %v", err)
			}
		}
		if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error repeats a claim: %v", err)
		}
	}
}

func TestAdmitDecidesLast(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var asked stage.ParticipantID
	h.verifier.Admit = func(_ context.Context, p stage.Participant) (stage.Participant, error) {
		asked = p.ID
		return p, stage.Errorf(stage.ErrUnauthorized, "The token was revoked.").
			WithCode("token_revoked")
	}
	p, err := h.verifier.Verify(t.Context(), h.issue(t, request()).Secret)
	if code(err) != "token_revoked" || asked != "Mx6clRRHODPy" || p.ID != asked || p.UserID != "" {
		t.Errorf("got %v for %q as %+v, want token_revoked", err, asked, p)
	}
	asked = ""
	if h.verifier.Verify(t.Context(), h.forge(t, map[string]any{"version": "2"})); asked != "" {
		t.Error("Admit was asked about a token that is wrong in itself")
	}
	h.verifier.Admit = func(_ context.Context, p stage.Participant) (stage.Participant, error) {
		p.View = stage.ViewGrid
		return p, nil
	}
	if p, err := h.verifier.Verify(t.Context(), h.issue(t, request()).Secret); err != nil ||
		p.View != stage.ViewGrid {
		t.Errorf("what Admit knows of the participant: got %+v, %v, want the view", p, err)
	}
}

func TestIssueTokenKeepsTheLimits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	req := request()
	req.TTL = stage.MaxTTL + time.Second
	if _, err := h.signer.IssueToken(t.Context(), req); !errors.Is(err, stage.ErrInvalid) {
		t.Errorf("over 14 days: got %v, want ErrInvalid", err)
	}
	req = request()
	req.Stage += "x"
	if _, err := h.signer.IssueToken(t.Context(), req); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("a stage that is not there: got %v, want ErrNotFound", err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h.signer.Key = p256
	if _, err := h.signer.IssueToken(t.Context(), request()); !errors.Is(err,
		stage.ErrUnavailable) {
		t.Errorf("a key on P-256: got %v, want ErrUnavailable", err)
	}
}

func detail(err error) string {
	var e *stage.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Detail
}

func code(err error) string {
	var e *stage.Error
	errors.As(err, &e)
	if e == nil {
		return ""
	}
	return e.Code
}

func FuzzVerify(f *testing.F) {
	h := newHarness(f)
	good := h.issue(f, request()).Secret.Reveal()
	for _, seed := range []string{"", good, good[:100], good + ".", "..", "e30.e30.",
		"bnVsbA.bnVsbA.bnVsbA", h.forge(f, map[string]any{"exp": 1e300}).Reveal()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bearer string) {
		p, err := h.verifier.Verify(t.Context(), stage.NewSecret(bearer))
		if err == nil && bearer != good && p.ID != "Mx6clRRHODPy" {
			t.Errorf("a forged token was accepted for %+v", p)
		}
		if err != nil && (p.Capabilities != 0 || code(err) == "") {
			t.Errorf("a refused token: got %+v with %v, want no capabilities and a code", p, err)
		}
	})
}
