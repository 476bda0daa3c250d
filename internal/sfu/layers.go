package sfu

import (
	"cmp"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

var (
	_ whip.Layered      = (*viewer)(nil)
	_ whip.HighestFirst = (*viewer)(nil)
	_ whip.Playable     = (*viewer)(nil)
)

// living returns the layers that still arrive, smallest first. The caller holds pub.mu.
func (p *publisher) living(now time.Time) []*track {
	var list []*track
	for _, t := range p.layers {
		if alive(t, now) && !p.stopped(t, now) {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b *track) int {
		return cmp.Or(cmp.Compare(a.pixels(), b.pixels()),
			cmp.Compare(a.lately.bitrate, b.lately.bitrate))
	})
	return list
}

func (t *track) pixels() int { return t.picture.width * t.picture.height }

// stoppedAfter is how long a layer must be silent, while other layers arrive, to count as stopped.
const stoppedAfter = 500 * time.Millisecond

// stopped reports whether a layer is silent while another one arrives: browsers stop the highest
// layer when their uplink is too slow. Two frames of the other layer must have begun since the last
// packet of the silent layer, so that a source of one frame a second does not count as stopped. The
// caller holds pub.mu.
func (p *publisher) stopped(t *track, now time.Time) bool {
	return now.Sub(t.receivedAt) > stoppedAfter &&
		slices.ContainsFunc(p.layers, func(other *track) bool {
			return other.beforeAt.After(t.receivedAt)
		})
}

// follow attaches the viewer's streams to the tracks of the current source. The caller holds v.mu
// and pub.mu.
func (v *viewer) follow(now time.Time) {
	source := v.pub.source
	if source == nil {
		return
	}
	for _, s := range v.streams {
		want := source.audio
		if s.video {
			want = v.choose(source, s, now)
		}
		if want != nil {
			v.lead(source, s, want, now)
		}
	}
}

// lead attaches a stream to a track. It does so at once if the stream's track is missing, belongs
// to another session, or has stopped. A change between layers that both arrive waits for the next
// keyframe.
func (v *viewer) lead(source *publisher, s *stream, want *track, now time.Time) {
	switch {
	case want == s.track:
		s.target = nil
	case !s.started || !slices.Contains(source.layers, s.track) || source.stopped(s.track, now):
		s.attach(want)
	case s.target != want:
		s.target, s.targetFrom = want, want.history.end()
		source.wantKeyframe(want, now)
	case want.history.keyed && want.history.keyframe >= s.targetFrom:
		s.attach(want)
	default:
		source.wantKeyframe(want, now)
	}
}

// choose returns the layer that the viewer selected, if it still arrives. Otherwise it returns the
// layer that fits the viewer's size and network.
func (v *viewer) choose(source *publisher, s *stream, now time.Time) *track {
	if len(source.layers) == 1 {
		return source.layers[0]
	}
	layers := source.living(now)
	if len(layers) == 0 {
		return s.track
	}
	if v.fixed != "" {
		if i := slices.IndexFunc(layers, func(t *track) bool { return t.rid == v.fixed }); i >= 0 {
			return layers[i]
		}
	}
	layers = layers[:1+v.largest(layers)]
	rates := make([]int, len(layers))
	for i, t := range layers {
		rates[i] = t.lately.bitrate
	}
	return layers[v.bandwidth.choose(rates, s.target != nil, now)]
}

// largest returns the index of the smallest layer that has at least as many lines as the viewer
// shows. The viewer has no use for a larger one. If no layer has so many lines, `largest` returns
// the last index.
func (v *viewer) largest(layers []*track) int {
	if v.lines > 0 {
		if i := slices.IndexFunc(layers,
			func(t *track) bool { return t.picture.height >= v.lines }); i >= 0 {
			return i
		}
	}
	return len(layers) - 1
}

// onlyLayer is the name of a picture without simulcast.
const onlyLayer = "only"

func (t *track) layerID() string { return cmp.Or(t.rid, onlyLayer) }

// Layers implements whip.Layered.
func (v *viewer) Layers() []whip.Layer {
	now := v.sfu.cfg.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pub.mu.Lock()
	defer v.pub.mu.Unlock()
	list := []whip.Layer{}
	if v.pub.source == nil {
		return list
	}
	for _, t := range v.pub.source.living(now) {
		list = append(list, whip.Layer{
			EncodingID: t.layerID(), Bitrate: t.lately.bitrate / 1000, FPS: t.lately.fps,
			Width: t.picture.width, Height: t.picture.height, Selected: v.receives(t),
		})
	}
	return list
}

func (v *viewer) receives(t *track) bool {
	return slices.ContainsFunc(v.streams, func(s *stream) bool { return s.track == t })
}

// SelectLayer implements whip.Layered.
func (v *viewer) SelectLayer(id string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pub.mu.Lock()
	defer v.pub.mu.Unlock()
	known := id == "" || v.pub.source != nil && slices.ContainsFunc(v.pub.source.layers,
		func(t *track) bool { return t.layerID() == id })
	if !known {
		return stage.Errorf(stage.ErrNotFound, "There is no layer %q.", id).WithCode("not_found")
	}
	v.fixed = id
	return nil
}

// FitHeight implements whip.Layered.
func (v *viewer) FitHeight(lines int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lines = lines
}

// StartHighest implements whip.HighestFirst.
func (v *viewer) StartHighest() {
	v.bandwidth.mu.Lock()
	defer v.bandwidth.mu.Unlock()
	v.bandwidth.highest = true
}

// Play implements whip.Playable.
func (v *viewer) Play(mid string, on bool) error {
	v.mu.Lock()
	i := slices.IndexFunc(v.streams, func(s *stream) bool { return s.mid == mid })
	if i >= 0 {
		v.streams[i].pause(!on)
	}
	v.mu.Unlock()
	if i < 0 {
		return stage.Errorf(stage.ErrNotFound, "There is no medium %q.", mid).WithCode("not_found")
	}
	v.sender.wakeFor(v.pub)
	return nil
}
