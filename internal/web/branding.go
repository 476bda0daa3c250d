package web

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

type (
	// A Branding is the look of the pages. Absent members mean Stagedoor's defaults.
	Branding struct {
		Name    string `json:"name,omitempty"`
		Accent  string `json:"accent,omitempty"`  // #rrggbb
		Support string `json:"support,omitempty"` // a link: mailto: or https:
		Imprint string `json:"imprint,omitempty"` // a link
		// URL of the logo, relative to the public URL. It contains a hash of the picture, so that
		// browsers load a changed logo.
		Logo string `json:"logo,omitempty"`
	}
	// A V1Branding is the branding that operators set. Empty members mean the values of the
	// settings.
	V1Branding struct {
		Name    string `json:"name"`
		Accent  string `json:"accent"`
		Support string `json:"support"` // an e-mail address or a URL
		Imprint string `json:"imprint"`
		// a PNG or JPEG in base64; "" removes the logo. A change without this member keeps it.
		Logo *string `json:"logo,omitempty"`
	}
)

// branding serves the look of the pages. It needs no credential, because the sign-in page uses it.
type branding struct{ setting *access.BrandingSetting }

func (b branding) routes(a *adapter) []route {
	return []route{
		{"GET /api/branding", a.open(b.get)},
		{"GET /api/branding/logo", a.open(b.logo)},
	}
}

func (b branding) get(r *http.Request, _ access.Principal) (any, error) {
	brand, err := b.setting.Get(r.Context())
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

func (b branding) logo(r *http.Request, _ access.Principal) (any, error) {
	brand, err := b.setting.Get(r.Context())
	if err != nil {
		return nil, err
	}
	if brand.Logo.Type == "" {
		return nil, stage.Errorf(stage.ErrNotFound, "There is no logo.")
	}
	return picture{brand.Logo.Type, brand.Logo.Data}, nil
}

// own returns the branding that operators set.
func (b branding) own(r *http.Request, who access.Principal) (any, error) {
	brand, err := b.setting.Own(r.Context(), who)
	if err != nil {
		return nil, err
	}
	logo := base64.StdEncoding.EncodeToString(brand.Logo.Data)
	return V1Branding{brand.Name, brand.Accent, brand.Support, brand.Imprint, &logo}, nil
}

func (b branding) put(r *http.Request, who access.Principal) (any, error) {
	in, err := decodeUpTo[V1Branding](r, maxBranding)
	switch {
	case errors.Is(err, stage.ErrTooLarge):
		return nil, access.LogoTooLarge() // no other member is that long
	case err != nil:
		return nil, err
	}
	var logo *access.Logo
	if in.Logo != nil {
		data, err := base64.StdEncoding.DecodeString(*in.Logo)
		if err != nil {
			return nil, stage.Errorf(stage.ErrInvalid, "The logo must be in base64.")
		}
		logo = &access.Logo{Data: data}
	}
	set := access.Branding{
		Name: in.Name, Accent: in.Accent, Support: in.Support, Imprint: in.Imprint,
	}
	if err := b.setting.Set(r.Context(), who, set, logo); err != nil {
		return nil, err
	}
	return b.own(r, who)
}

// maxBranding limits a body with a logo. The base64 of the largest permitted logo is shorter.
const maxBranding = 128 << 10
