// Package static is the front end: pages, ES modules and styles, embedded as they are written.
package static

import "embed"

// FS holds the files under the paths that the server serves below /static/.
//
//go:embed *.css *.html *.ico *.js *.svg
//go:embed account device dock guest invite lib lost operator pictures setup source stage strings vendor watch
var FS embed.FS
