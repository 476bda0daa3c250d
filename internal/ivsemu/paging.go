package ivsemu

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// A pager creates and reads nextTokens, which are opaque to clients and valid only for one list.
type pager struct{ key []byte }

func newPager() *pager {
	key := make([]byte, 32)
	rand.Read(key)
	return &pager{key}
}

const pageMAC = 12

// token returns the nextToken for the items of a list after seq.
func (p *pager) token(list string, seq int) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(int64(seq)))
	return base64.RawURLEncoding.EncodeToString(append(raw, p.mac(list, raw)...))
}

func (p *pager) seq(list, token string) (int, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8+pageMAC || !hmac.Equal(raw[8:], p.mac(list, raw[:8])) {
		return 0, invalid("Invalid nextToken: it is not one that this list answered.")
	}
	return int(int64(binary.BigEndian.Uint64(raw))), nil
}

func (p *pager) mac(list string, raw []byte) []byte {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(list + "\x00"))
	mac.Write(raw)
	return mac.Sum(nil)[:pageMAC]
}

// page returns one page of a list whose keys increase. The parameter `list` identifies the list and
// all its filters. Adding or deleting items between two pages does not repeat or omit other items.
func page[T any](p *pager, list string, in paged, items []T, key func(T) int) (out []T, next string,
	err error) {
	size := 50
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	start := 0
	if in.NextToken != nil && *in.NextToken != "" {
		after, err := p.seq(list, *in.NextToken)
		if err != nil {
			return nil, "", err
		}
		for start < len(items) && key(items[start]) <= after {
			start++
		}
	}
	out = items[start:]
	if len(out) > size {
		out = out[:size]
		next = p.token(list, key(out[size-1]))
	}
	return out, next, nil
}
