package access

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"math"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	maxLogo        = 48 << 10 // bytes; its base64 fits into a request
	maxLogoSide    = 1024     // pixels of each side
	leastContrast  = 4.5      // for text (WCAG 2.2, 1.4.3)
	maxBrandString = 300
)

// A Branding is the look of the pages. Empty members mean Stagedoor's defaults.
type Branding struct {
	Name    string
	Accent  string // #rrggbb, behind white text
	Support string // an e-mail address or a URL
	Imprint string // a URL
	Logo    Logo
}

// A Logo is a small picture. The zero value is no logo.
type Logo struct {
	Type string // image/png or image/jpeg
	Data []byte
}

// A BrandingStore stores the branding that operators set.
type BrandingStore interface {
	// Branding returns stage.ErrNotFound if none was set.
	Branding(ctx context.Context) (Branding, error)
	PutBranding(ctx context.Context, b Branding, at time.Time) error
}

// A BrandingSetting returns and replaces the branding. Only operators, and API keys with
// ScopeSystem, may replace it.
type BrandingSetting struct {
	*trail
	defaults Branding // see Config.Brand
}

// Get returns the branding for the pages, which show it before sign-in. Values that operators set
// take precedence over the settings.
func (s *BrandingSetting) Get(ctx context.Context) (Branding, error) {
	set, err := s.stored(ctx)
	if err != nil {
		return Branding{}, err
	}
	b := Branding{
		Name: cmp.Or(set.Name, s.defaults.Name), Accent: cmp.Or(set.Accent, s.defaults.Accent),
		Support: cmp.Or(set.Support, s.defaults.Support),
		Imprint: cmp.Or(set.Imprint, s.defaults.Imprint),
		Logo:    set.Logo,
	}
	if b.Logo.Type == "" {
		b.Logo = s.defaults.Logo
	}
	return b, nil
}

func (s *BrandingSetting) stored(ctx context.Context) (Branding, error) {
	set, err := s.store.Branding(ctx)
	return set, notFoundIs(err, nil)
}

// Own returns the branding that operators set, without the settings.
func (s *BrandingSetting) Own(ctx context.Context, by Principal) (Branding, error) {
	if err := by.Require(ScopeSystem); err != nil {
		return Branding{}, err
	}
	return s.stored(ctx)
}

// Set replaces the branding. A nil logo keeps the current one.
func (s *BrandingSetting) Set(ctx context.Context, by Principal, b Branding, logo *Logo) error {
	if err := by.Require(ScopeSystem); err != nil {
		return err
	}
	b, err := CheckBranding(b)
	if err != nil {
		return err
	}
	if logo != nil && len(logo.Data) > 0 {
		checked, err := CheckLogo(logo.Data)
		if err != nil {
			return err
		}
		logo = &checked
	}
	return s.store.Atomically(ctx, func(tx Store) error {
		before, err := tx.Branding(ctx)
		if err != nil && !errors.Is(err, stage.ErrNotFound) {
			return err
		}
		b.Logo = before.Logo
		if logo != nil {
			b.Logo = *logo
		}
		if err := tx.PutBranding(ctx, b, s.now()); err != nil {
			return err
		}
		return s.note(ctx, tx, by, Entry{
			Action: ActionSettingChanged, Target: "branding", Detail: b.Name,
		})
	})
}

// CheckBranding validates everything except the logo, and returns the branding with trimmed values.
func CheckBranding(b Branding) (Branding, error) {
	for _, text := range []*string{&b.Name, &b.Accent, &b.Support, &b.Imprint} {
		*text = strings.TrimSpace(*text)
		if cleanText(*text, maxBrandString) != *text {
			return b, stage.Errorf(stage.ErrInvalid,
				"Each text of the branding must have at most %d printable characters.",
				maxBrandString)
		}
	}
	if len([]rune(b.Name)) > 40 {
		return b, stage.Errorf(stage.ErrInvalid, "The name must have at most 40 characters.")
	}
	if err := checkAccent(b.Accent); err != nil {
		return b, err
	}
	if b.Imprint != "" && !webAddress(b.Imprint) {
		return b, words.Error(stage.ErrInvalid, "said.invalid.imprint", nil)
	}
	if _, err := mail.ParseAddress(b.Support); b.Support != "" && err != nil &&
		!webAddress(b.Support) {
		return b, words.Error(stage.ErrInvalid, "said.invalid.support", nil)
	}
	return b, nil
}

// webAddress reports whether an address may be a link. Addresses with javascript: and data: may
// not, because they would run in the page.
func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func checkAccent(color string) error {
	if color == "" {
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(color, "#"), 16, 32)
	if err != nil || len(color) != 7 || color[0] != '#' {
		return stage.Errorf(stage.ErrInvalid, "The accent colour must be written like #284cb8.")
	}
	if contrast := contrastWithWhite(uint32(n)); contrast < leastContrast {
		return stage.Errorf(stage.ErrInvalid,
			"White text on %s has a contrast of %s:1, and needs 4.5:1. Choose a darker colour.",
			color, fmt.Sprintf("%.1f", math.Floor(contrast*10)/10)).WithCode("contrast")
	}
	return nil
}

// contrastWithWhite returns the contrast ratio of a colour and white (WCAG 2.2, "contrast ratio").
func contrastWithWhite(rgb uint32) float64 {
	linear := func(channel uint32) float64 {
		v := float64(channel&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	luminance := 0.2126*linear(rgb>>16) + 0.7152*linear(rgb>>8) + 0.0722*linear(rgb)
	return 1.05 / (luminance + 0.05)
}

// LogoTooLarge returns the error for a logo with too many bytes.
func LogoTooLarge() error {
	return stage.Errorf(stage.ErrTooLarge, "A logo must have at most %d KiB.", maxLogo>>10).
		WithCode("logo_too_large")
}

// CheckLogo detects the type of a picture from its content. It refuses SVG, which can contain
// scripts.
func CheckLogo(data []byte) (Logo, error) {
	if len(data) > maxLogo {
		return Logo{}, LogoTooLarge()
	}
	kind := "image/png"
	size, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		kind = "image/jpeg"
		size, err = jpeg.DecodeConfig(bytes.NewReader(data))
	}
	switch {
	case err != nil:
		return Logo{}, words.Error(stage.ErrInvalid, "said.invalid.logoKind", nil)
	case size.Width > maxLogoSide || size.Height > maxLogoSide:
		return Logo{}, words.Error(stage.ErrInvalid, "said.invalid.logoSize",
			words.Values{"most": maxLogoSide, "width": size.Width, "height": size.Height})
	}
	return Logo{Type: kind, Data: data}, nil
}
