package ivsemu

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	signingName = "ivs" // "ivsrealtime" is only the prefix of the host name
	amzTime     = "20060102T150405Z"
	maxSkew     = 5 * time.Minute
)

// An authorization contains a credential scope, "AKID/20261122/us-west-2/ivs/aws4_request", and the
// signed values.
type authorization struct {
	accessKey, date, region, service, terminal string
	signedHeaders                              []string
	signature                                  []byte
}

// A sigV4 verifies Signature Version 4 in the Authorization header ("Create a signed AWS API
// request", AWS IAM User Guide).
type sigV4 struct {
	accessKey string
	secretKey stage.Secret
	now       func() time.Time
}

// verify returns the region for which the request is signed.
func (s sigV4) verify(r *http.Request, body []byte) (region string, err error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", common("MissingAuthenticationTokenException", http.StatusForbidden,
			"Missing Authentication Token")
	}
	auth, err := parseAuthorization(header)
	if err != nil {
		return "", err
	}
	if auth.accessKey != s.accessKey {
		return "", common("UnrecognizedClientException", http.StatusForbidden,
			"The security token included in the request is invalid.")
	}
	if err := s.checkScope(r, auth); err != nil {
		return "", err
	}
	if !hmac.Equal(auth.signature, s.sign(r, body, auth)) {
		return "", badSignature(
			"The request signature we calculated does not match the signature you provided. " +
				"Check your AWS Secret Access Key and signing method.")
	}
	return auth.region, nil
}

// regionOf returns the region that a request claims. The signature is not verified.
func regionOf(r *http.Request, otherwise string) string {
	if auth, err := parseAuthorization(r.Header.Get("Authorization")); err == nil &&
		auth.region != "" {
		return auth.region
	}
	return otherwise
}

func parseAuthorization(header string) (authorization, error) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, incomplete("Authorization header must begin with %q", algorithm)
	}
	var auth authorization
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			part := strings.Split(value, "/")
			if len(part) != 5 {
				return authorization{}, incomplete("Credential must have 5 parts between slashes")
			}
			auth.accessKey, auth.date, auth.region, auth.service, auth.terminal = part[0], part[1],
				part[2], part[3], part[4]
		case "SignedHeaders":
			auth.signedHeaders = strings.Split(value, ";")
		case "Signature":
			// invalid hex gives an empty signature, which is refused later
			auth.signature, _ = hex.DecodeString(value)
		}
	}
	if auth.accessKey == "" || len(auth.signedHeaders) == 0 || len(auth.signature) == 0 {
		return authorization{}, incomplete(
			"Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' " +
				"parameters")
	}
	return auth, nil
}

func (s sigV4) checkScope(r *http.Request, auth authorization) error {
	if auth.service != signingName || auth.terminal != "aws4_request" {
		return badSignature("Credential should be scoped to correct service: '%s'.", signingName)
	}
	signedAt, err := time.Parse(amzTime, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return incomplete("X-Amz-Date must be like %s", amzTime)
	}
	if !strings.HasPrefix(r.Header.Get("X-Amz-Date"), auth.date) {
		return badSignature(
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "+
				"HTTP: '%s'.", auth.date)
	}
	if skew := s.now().Sub(signedAt); skew > maxSkew || skew < -maxSkew {
		return badSignature("Signature expired: %s is not within 5 minutes of %s. Check the clock.",
			signedAt.Format(amzTime), s.now().UTC().Format(amzTime))
	}
	return checkSignedHeaders(r, auth.signedHeaders)
}

// checkSignedHeaders requires that a signature covers Host and every X-Amz header.
func checkSignedHeaders(r *http.Request, signed []string) error {
	if !slices.Contains(signed, "host") {
		return badSignature("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(signed, name) {
			return badSignature("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

func (s sigV4) sign(r *http.Request, body []byte, auth authorization) []byte {
	scope := strings.Join([]string{auth.date, auth.region, auth.service, auth.terminal}, "/")
	request := sha256.Sum256([]byte(canonicalRequest(r, body, auth.signedHeaders)))
	text := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), scope,
		hex.EncodeToString(request[:])}, "\n")
	key := []byte("AWS4" + s.secretKey.Reveal())
	for _, part := range []string{auth.date, auth.region, auth.service, auth.terminal, text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return key
}

func canonicalRequest(r *http.Request, body []byte, signed []string) string {
	var headers strings.Builder
	for _, name := range signed {
		headers.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	hash := sha256.Sum256(body)
	return strings.Join([]string{
		r.Method,
		escape(rawPath(r), "/"), // escaped twice, as in every service except S3
		canonicalQuery(r.URL.RawQuery),
		headers.String(),
		strings.Join(signed, ";"),
		hex.EncodeToString(hash[:]),
	}, "\n")
}

// rawPath returns the path as it was sent. In /tags/…, the ARN is percent-escaped, and the slash in
// it must stay escaped.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return r.URL.EscapedPath()
	}
	return path
}

func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, value := range values {
		values[i] = strings.Join(strings.Fields(value), " ")
	}
	return strings.Join(values, ",")
}

func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, escape(unescape(name), "")+"="+escape(unescape(value), ""))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// escape applies the URI encoding of SigV4 to everything except A-Z a-z 0-9 - . _ ~ and the
// characters in `besides`.
func escape(s, besides string) string {
	const hexDigits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
			strings.IndexByte("-._~"+besides, c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return out.String()
}

func incomplete(format string, args ...any) *fault {
	return common("IncompleteSignatureException", http.StatusForbidden, format, args...)
}

func badSignature(format string, args ...any) *fault {
	return common("InvalidSignatureException", http.StatusForbidden, format, args...)
}
