package app

import (
	"context"
	"io"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/httpkit"
)

const (
	logBurst = 50 // records of one message at once; then one per logEvery
	logEvery = time.Second
)

func newLog(s LogSettings, w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(s.LogLevel)) // kong allows no invalid value
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if s.LogFormat == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(newPacedHandler(handler))
}

// A pacedHandler limits records with the same message, so that unknown clients cannot fill the log
// and displace other records. The next record contains the number of dropped ones. Records at debug
// level are not limited, because an operator has turned them on.
type pacedHandler struct {
	slog.Handler
	messages *bounded.Map[string, *messagePace]
}

// A messagePace is the limit of one message. The lock of pacedHandler.messages guards its fields.
type messagePace struct {
	limit   *rate.Limiter
	leftOut int
}

func newPacedHandler(h slog.Handler) pacedHandler {
	return pacedHandler{h, &bounded.Map[string, *messagePace]{Max: 1000}}
}

// Handle implements slog.Handler.
func (h pacedHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := httpkit.RequestID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request", id))
	}
	if r.Level < slog.LevelInfo {
		return h.Handler.Handle(ctx, r)
	}
	allowed, leftOut := h.allow(r)
	if !allowed {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left_out", leftOut))
	}
	return h.Handler.Handle(ctx, r)
}

func (h pacedHandler) allow(r slog.Record) (allowed bool, leftOut int) {
	h.messages.Update(r.Message, r.Time, func(p *messagePace, known bool) *messagePace {
		if !known {
			p = &messagePace{limit: rate.NewLimiter(rate.Every(logEvery), logBurst)}
		}
		if allowed = p.limit.AllowN(r.Time, 1); allowed {
			leftOut, p.leftOut = p.leftOut, 0
		} else {
			p.leftOut++
		}
		return p
	})
	return allowed, leftOut
}

// WithAttrs implements slog.Handler.
func (h pacedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return pacedHandler{h.Handler.WithAttrs(attrs), h.messages}
}

// WithGroup implements slog.Handler.
func (h pacedHandler) WithGroup(name string) slog.Handler {
	return pacedHandler{h.Handler.WithGroup(name), h.messages}
}
