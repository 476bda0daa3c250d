package store

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

const brandingID = "pages"

func scanBranding(r row) (access.Branding, error) {
	var b access.Branding
	var logo string
	err := r.Scan(&b.Name, &b.Accent, &b.Support, &b.Imprint, &logo, &b.Logo.Type)
	if err == nil {
		b.Logo.Data, err = base64.StdEncoding.DecodeString(logo)
	}
	return b, err
}

// Branding implements access.BrandingStore.
func (q queries) Branding(ctx context.Context) (access.Branding, error) {
	return first(ctx, q, scanBranding,
		"SELECT name, accent, support, imprint, logo, logo_type FROM branding WHERE id = $1",
		brandingID)
}

// PutBranding implements access.BrandingStore.
func (q queries) PutBranding(ctx context.Context, b access.Branding, at time.Time) error {
	return q.do(ctx, `
		INSERT INTO branding (id, name, accent, support, imprint, logo, logo_type, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, accent = excluded.accent,
			support = excluded.support, imprint = excluded.imprint, logo = excluded.logo,
			logo_type = excluded.logo_type, changed_at = excluded.changed_at`,
		brandingID, b.Name, b.Accent, b.Support, b.Imprint,
		base64.StdEncoding.EncodeToString(b.Logo.Data), b.Logo.Type, ms(at))
}
