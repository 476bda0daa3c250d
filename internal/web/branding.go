package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

type (
	// A Branding is how the pages look. Absent members leave Stagedoor's own.
	Branding struct {
		Name    string `json:"name,omitempty"`
		Accent  string `json:"accent,omitempty"`  // #rrggbb
		Support string `json:"support,omitempty"` // a link: mailto: or https:
		Imprint string `json:"imprint,omitempty"` // a link
		Logo    string `json:"logo,omitempty"`    // its path below the public URL; changes with the picture
	}
	// A V1Branding is the branding that is set on the console. Empty members leave what the
	// settings say.
	V1Branding struct {
		Name    string  `json:"name"`
		Accent  string  `json:"accent"`
		Support string  `json:"support"` // an e-mail address or a URL
		Imprint string  `json:"imprint"`
		Logo    *string `json:"logo,omitempty"` // base64 of a PNG or JPEG; "": none. Absent in a change: as before
	}
)

// branding serves how the pages look. Everybody may see it: the page for signing in has it.
type branding struct{ control *access.Control }

func (b branding) routes(a *adapter) []route {
	return []route{
		{"GET /api/branding", a.open(b.get)},
		{"GET /api/branding/logo", a.open(b.logo)},
	}
}

func (b branding) get(r *http.Request, _ access.Principal) (any, error) {
	brand, err := b.control.Branding(r.Context())
	if err != nil {
		return nil, err
	}
	out := Branding{
		Name: brand.Name, Accent: brand.Accent, Support: supportLink(brand.Support),
		Imprint: brand.Imprint,
	}
	if brand.Logo.Type != "" {
		out.Logo = "api/branding/logo?" + logoTag(brand.Logo)
	}
	return out, nil
}

func supportLink(address string) string {
	if address == "" || strings.HasPrefix(address, "http:") ||
		strings.HasPrefix(address, "https:") {
		return address
	}
	return (&url.URL{Scheme: "mailto", Opaque: url.PathEscape(address)}).String()
}

func logoTag(logo access.Logo) string {
	sum := sha256.Sum256(logo.Data)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// A picture is an answer that is shown and nothing else: opened by itself, it may do nothing.
type picture struct {
	contentType string
	data        []byte
}

func (p picture) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", p.contentType)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Disposition", "inline")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "public, max-age=86400")
	w.Write(p.data)
}

func (b branding) logo(r *http.Request, _ access.Principal) (any, error) {
	brand, err := b.control.Branding(r.Context())
	if err != nil {
		return nil, err
	}
	if brand.Logo.Type == "" {
		return nil, stage.Errorf(stage.ErrNotFound, "There is no logo.")
	}
	return picture{brand.Logo.Type, brand.Logo.Data}, nil
}

// own is what operators set, to change it.
func (b branding) own(r *http.Request, who access.Principal) (any, error) {
	brand, err := b.control.OwnBranding(r.Context(), who)
	if err != nil {
		return nil, err
	}
	logo := base64.StdEncoding.EncodeToString(brand.Logo.Data)
	return V1Branding{brand.Name, brand.Accent, brand.Support, brand.Imprint, &logo}, nil
}

func (b branding) put(r *http.Request, who access.Principal) (any, error) {
	in, err := decodeUpTo[V1Branding](r, maxBranding)
	if err != nil {
		return nil, err
	}
	var logo *access.Logo
	if in.Logo != nil {
		data, err := base64.StdEncoding.DecodeString(*in.Logo)
		if err != nil {
			return nil, stage.Errorf(stage.ErrInvalid, "The logo is written in base64.")
		}
		logo = &access.Logo{Data: data}
	}
	set := access.Branding{
		Name: in.Name, Accent: in.Accent, Support: in.Support, Imprint: in.Imprint,
	}
	if err := b.control.SetBranding(r.Context(), who, set, logo); err != nil {
		return nil, err
	}
	return b.own(r, who)
}

// maxBranding bounds the body that holds a logo: one that is a little too large is refused in
// words.
const maxBranding = 128 << 10
