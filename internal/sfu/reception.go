package sfu

import (
	"math"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// Limits are what a stage accepts from one publisher. A publisher that exceeds them causes a
// warning. With Enforce, a picture or a bitrate above its maximum, or a B-frame, ends the session,
// as on IVS. Zero means no limit.
type Limits struct {
	stage.Limits // the longer side may be 16/9 of MaxHeight; MaxBitrate is for all layers together
	NoBFrames    bool
	Enforce      bool
}

// DefaultLimits returns the limits that IVS documents.
func DefaultLimits() Limits {
	return Limits{Limits: stage.DefaultLimits(), NoBFrames: true}
}

// window is the period over which media is measured.
const window = 2 * time.Second

// A measure contains what arrived within the window. It is computed from the history.
type measure struct {
	bitrate int
	fps     float64
	loss    float64
	packets int
}

func (t *track) measure(now time.Time) (m measure) {
	h := &t.history
	bytes, frames, lowest, highest := 0, 0, uint64(0), uint64(0)
	lastTS, oldest := uint64(0), now
	for i := len(h.packets) - 1; i >= 0 && now.Sub(h.packets[i].at) < window; i-- {
		p := h.packets[i]
		bytes += len(p.payload) + 12
		if p.ts != lastTS {
			frames, lastTS = frames+1, p.ts
		}
		if m.packets == 0 || p.seq < lowest {
			lowest = p.seq
		}
		highest, oldest = max(highest, p.seq), p.at
		m.packets++
	}
	if m.packets < 2 {
		return m
	}
	// The measurement starts at the oldest packet, because a track may have just begun, and the
	// history may be shorter than the window.
	span := max(now.Sub(oldest), 100*time.Millisecond).Seconds()
	m.bitrate = int(float64(bytes*8) / span)
	m.fps = float64(frames) / span
	if expected := int(highest - lowest + 1); expected > m.packets {
		m.loss = float64(expected-m.packets) / float64(expected)
	}
	return m
}

// reception returns what the stage receives from the publisher. The caller holds pub.mu.
func (p *publisher) reception(now time.Time) *stage.Reception {
	r := &stage.Reception{Since: p.firstMedia}
	packets, lost := 0, 0.0
	count := func(m measure) {
		packets += m.packets
		lost += m.loss * float64(m.packets)
	}
	if t := p.highest(); t != nil {
		m := t.measure(now)
		count(m)
		r.Video = t.videoReception(m)
		for _, layer := range p.layers {
			if alive(layer, now) {
				r.Video.Layers++
			}
		}
	}
	if p.audio != nil {
		m := p.audio.measure(now)
		count(m)
		r.Audio = &stage.AudioReception{
			Codec: "opus", Bitrate: m.bitrate, Valid: p.audio.sound.valid(),
		}
	}
	if packets > 0 {
		r.Loss = lost / float64(packets)
	}
	return r
}

func (t *track) videoReception(m measure) *stage.VideoReception {
	return &stage.VideoReception{
		Codec: "H264", Profile: t.picture.profile, Width: t.picture.width, Height: t.picture.height,
		FPS: m.fps, Bitrate: m.bitrate, KeyframeInterval: t.keyInterval.Seconds(),
		BFrames: t.bFrames,
	}
}

// highest returns the layer with the largest picture. The caller holds pub.mu.
func (p *publisher) highest() (best *track) {
	for _, t := range p.layers {
		if best == nil || t.picture.height > best.picture.height {
			best = t
		}
	}
	return best
}

// A finding is a fault of the received media.
type finding struct {
	code, detail string
	fatal        bool
}

// findings collects findings. If the limits are enforced, a finding that has an `end` code ends the
// session.
type findings struct {
	limits Limits
	list   []finding
}

// find adds a finding. Its sentence is said.event.WARNING in the language files.
func (f *findings) find(warning, end string, v words.Values) {
	f.findAs(warning, warning, end, v)
}

// findAs does what `find` does, with the sentence said.event.KEY.
func (f *findings) findAs(key, warning, end string, v words.Values) {
	found := finding{code: warning, detail: words.English("said.event."+key, v)}
	if end != "" && f.limits.Enforce {
		found.code, found.fatal = end, true
	}
	f.list = append(f.list, found)
}

// judge finds faults that a broadcaster should know about, and media that the stage does not
// accept. The caller holds pub.mu.
func (p *publisher) judge(r *stage.Reception, limits Limits, now time.Time) []finding {
	f := &findings{limits: limits}
	if a := r.Audio; a != nil && !a.Valid {
		f.find("not_opus", "", nil)
	}
	if v := r.Video; v != nil {
		p.judgeHeaders(f)
		f.judgePicture(v)
		p.judgeBitrate(f)
		p.judgeKeyframes(f, now)
	}
	if r.Loss > 0.05 {
		f.find("loss_high", "", words.Values{"percent": math.Round(r.Loss * 100)})
	}
	return f.list
}

// judgeHeaders finds layers with which no decoder can start.
func (p *publisher) judgeHeaders(f *findings) {
	for _, t := range p.layers {
		if t.history.keyed && !t.sets.complete() {
			f.find("no_parameter_sets", "", nil)
			return
		}
	}
}

func (f *findings) judgePicture(v *stage.VideoReception) {
	l := f.limits
	long, short := max(v.Width, v.Height), min(v.Width, v.Height)
	if widest := (l.MaxHeight*16 + 8) / 9; l.MaxHeight > 0 &&
		(short > l.MaxHeight || long > widest) {
		f.find("resolution_high", "resolution_exceeded", words.Values{
			"width": v.Width, "height": v.Height, "widest": widest, "highest": l.MaxHeight,
		})
	}
	if v.BFrames && l.NoBFrames {
		f.find("b_frames", "b_frame_present", nil)
	}
	baseline := v.Profile == profileBaseline || v.Profile == profileConstrainedBaseline
	if v.Profile != "" && !baseline {
		f.find("profile_not_baseline", "", words.Values{"profile": v.Profile})
	}
}

func (p *publisher) judgeBitrate(f *findings) {
	rate, l := p.sustained(), f.limits
	switch {
	case l.MaxBitrate > 0 && rate > l.MaxBitrate:
		f.find("bitrate_high", "bitrate_exceeded",
			words.Values{"mbits": mbits(rate), "most": mbits(l.MaxBitrate)})
	case l.AdvisedBitrate > 0 && rate > l.AdvisedBitrate*5/4:
		f.findAs("bitrate_advised", "bitrate_high", "",
			words.Values{"mbits": mbits(rate), "most": mbits(l.AdvisedBitrate)})
	}
}

// mbits returns a bitrate in Mb/s, with one decimal.
func mbits(rate int) float64 { return math.Round(float64(rate)/1e5) / 10 }

func (p *publisher) judgeKeyframes(f *findings, now time.Time) {
	interval, most := p.keyframesApart(now).Seconds(), f.limits.MaxKeyframeInterval
	if most > 0 && interval > most+0.5 {
		f.find("keyframes_far_apart", "",
			words.Values{"seconds": math.Round(interval), "most": math.Round(most)})
	}
}

// keyframesApart returns the longest time between keyframes. It returns 0 for a publisher that
// makes keyframes on request, whose interval does not matter.
func (p *publisher) keyframesApart(now time.Time) (longest time.Duration) {
	for _, t := range p.layers {
		if since := t.arrival.origin; !t.keyframesOnRequest() && alive(t, now) {
			if t.keyAt.After(since) {
				since = t.keyAt
			}
			longest = max(longest, t.keyInterval, now.Sub(since))
		}
	}
	return longest
}

// rateSeconds is how long a bitrate must last to count, because a keyframe or a scene change is
// only a burst.
const rateSeconds = 5

// sustained returns the lowest bitrate of the last seconds. So a bitrate that exceeds a limit only
// for a moment neither causes a warning nor ends a session.
func (p *publisher) sustained() int {
	if len(p.rates) < rateSeconds {
		return 0
	}
	return slices.Min(p.rates)
}

// examine measures the media. It returns new warnings, each kind once. The result `fatal` is the
// finding that ends the session, or nil.
func (p *publisher) examine(now time.Time) (news []finding, fatal *finding) {
	p.pub.mu.Lock()
	defer p.pub.mu.Unlock()
	if !p.publishing || now.Sub(p.examined) < time.Second {
		return nil, nil
	}
	for _, t := range p.layers {
		t.lately = t.measure(now)
	}
	p.countRate(now.Sub(p.examined))
	p.examined = now
	for _, f := range p.judge(p.reception(now), p.sfu.cfg.LimitsFor(p.who.Stage), now) {
		if f.fatal {
			return news, &f
		}
		if !p.warned[f.code] {
			p.warned[f.code] = true
			news = append(news, f)
		}
	}
	p.probeKeyframes(now)
	return news, nil
}

func (p *publisher) countRate(since time.Duration) {
	if p.examined.IsZero() {
		p.bytes = 0
		return
	}
	p.rates = append(p.rates, int(float64(p.bytes*8)/since.Seconds()))
	if len(p.rates) > rateSeconds {
		p.rates = p.rates[1:]
	}
	p.bytes = 0
}

// probeKeyframes requests a keyframe if keyframes are rare, to find out whether the publisher makes
// them on request.
func (p *publisher) probeKeyframes(now time.Time) {
	for _, t := range p.layers {
		if t.asked < 2 && now.Sub(t.keyAt) > 2*time.Second {
			p.wantKeyframe(t, now)
		}
	}
}
