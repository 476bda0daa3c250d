package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"github.com/stagedoor/stagedoor/internal/web"
)

// ofDock returns targets for a route about a dock. Docks of different accounts may have the same
// ID, so that a request about another user's dock succeeds; but that dock must stay as it is.
func ofDock(body any) []target {
	const path = "/api/docks/"
	beas := web.DockState{OBS: &web.OBSState{Version: "30.2.3"}}
	return []target{
		{name: "own", request: at(path+"0123456789abcdef", body)},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			h.bea.Must(http.StatusNoContent, "PUT", path+"dockofbea", beas, nil)
			return path + "dockofbea", body
		}, then: func(h *harness) {
			var all web.Users
			h.olga.Must(http.StatusOK, "GET", "/api/users", nil, &all)
			i := slices.IndexFunc(all.Users, func(u web.User) bool { return u.ID == h.bea.id })
			if docks := all.Users[i].Docks; len(docks) != 1 ||
				!reflect.DeepEqual(docks[0].OBS, beas.OBS) {
				h.t.Errorf("the dock of bea was changed: got %+v, want %+v", docks, beas)
			}
		}},
	}
}

// ofPasskey returns targets for a route about a passkey.
func ofPasskey(body any) []target {
	return ownAndForeign(func(h *harness, of caller, _ string) (string, any) {
		return "/api/passkeys/" + h.passkey(of), body
	})
}

// passkey registers a new passkey of the owner and returns its ID.
func (h *harness) passkey(of caller) string {
	var begun struct{ Options json.RawMessage }
	of.owner.Must(http.StatusOK, "POST", "/api/passkeys/options", nil, &begun)
	var options struct{ Challenge string }
	if err := json.Unmarshal(begun.Options, &options); err != nil {
		h.t.Fatal(err)
	}
	public, err := url.Parse(h.URL)
	if err != nil {
		h.t.Fatal(err)
	}
	return made(of, "id", "/api/passkeys", web.NewPasskey{
		Name:   "phone",
		Answer: newCredential(options.Challenge, "localhost", "http://localhost:"+public.Port()),
	})
}

// newCredential returns what a browser returns for a new passkey (Web Authentication Level 3, 6.5):
// a key on P-256 without an attestation.
func newCredential(challenge, host, origin string) json.RawMessage {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err)
	}
	id := []byte(rand.Text()[:16])
	relying := sha256.Sum256([]byte(host))
	const present, verified, attested = 1, 4, 64
	// COSE (RFC 9053, 7.1.1): kty EC2, alg ES256, crv P-256, then x and y of 32 bytes each
	cose := slices.Concat([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33],
		[]byte{0x22, 0x58, 32}, point[33:])
	data := slices.Concat(relying[:], []byte{present | verified | attested}, make([]byte, 4+16),
		binary.BigEndian.AppendUint16(nil, uint16(len(id))), id, cose)
	// CBOR: {"fmt": "none", "attStmt": {}, "authData": data}
	attestation := slices.Concat([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"),
		[]byte{byte(len(data))}, data)
	encode := base64.RawURLEncoding.EncodeToString
	client, _ := json.Marshal(map[string]string{
		"type": "webauthn.create", "challenge": challenge, "origin": origin,
	})
	answer, _ := json.Marshal(map[string]any{
		"id": encode(id), "rawId": encode(id), "type": "public-key",
		"response": map[string]string{
			"clientDataJSON": encode(client), "attestationObject": encode(attestation),
		},
	})
	return answer
}
