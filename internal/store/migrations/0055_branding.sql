-- The branding of the pages, in one row. An empty column means the value of the settings.

-- +goose Up
CREATE TABLE branding (
  id         TEXT PRIMARY KEY,  -- 'pages'
  name       TEXT NOT NULL,
  accent     TEXT NOT NULL,     -- #rrggbb
  support    TEXT NOT NULL,     -- e-mail address or URL
  imprint    TEXT NOT NULL,     -- URL
  logo       TEXT NOT NULL,     -- base64
  logo_type  TEXT NOT NULL,
  changed_at BIGINT NOT NULL
);
