package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// encoding is base64url without padding (RFC 7515, 2). Strict refuses unused bits at the end that
// are not zero, so that each token has only one spelling.
var encoding = base64.RawURLEncoding.Strict()

// header is the JOSE header of a token.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid,omitempty"`
	Type      string `json:"typ,omitempty"`

	Critical json.RawMessage `json:"crit,omitempty"`
}

// A compact is a JWS in compact serialization (RFC 7515, 7.1), before it is verified.
type compact struct {
	header    header
	payload   []byte
	signature string // still encoded
	signed    string // the text that the signature covers
}

// split decodes the header and the payload of a token.
func split(text string) (c compact, err error) {
	head, rest, _ := strings.Cut(text, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found || strings.Contains(signature, ".") {
		return compact{}, errors.New("not three parts")
	}
	raw, err := decode(head)
	if err != nil {
		return compact{}, err
	}
	if err := json.Unmarshal(raw, &c.header); err != nil {
		return compact{}, err
	}
	// RFC 7515, 4.1.11: a token with an unknown critical extension must be refused.
	if c.header.Critical != nil {
		return compact{}, errors.New("critical header parameters")
	}
	if c.payload, err = decode(payload); err != nil {
		return compact{}, err
	}
	c.signature, c.signed = signature, text[:len(text)-len(signature)-1]
	return c, nil
}

// decode decodes base64url. It refuses line breaks, which package base64 ignores.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("a line break")
	}
	return encoding.DecodeString(text)
}

// join encodes a header and claims as a token, and signs it.
func join(h header, c claims, sign func(text string) ([]byte, error)) (string, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := encoding.EncodeToString(head) + "." + encoding.EncodeToString(payload)
	signature, err := sign(text)
	if err != nil {
		return "", err
	}
	return text + "." + encoding.EncodeToString(signature), nil
}
