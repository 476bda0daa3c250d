package rtcpeer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/samplebuilder"
)

// ViewOptions configure the viewer; by default it requests sound and picture.
type ViewOptions struct {
	NoVideo, NoAudio bool
	VP8              bool // offers VP8 first, H.264 second, as browsers do
	NoTransportCC    bool // offers no transport-wide feedback, as plain players do
	Passive          bool // is the DTLS server (a=setup:passive)
	TCP              bool // connects only by TCP, as from a network that blocks UDP
	Relays           []ICEServer

	Patience time.Duration // how long it waits for a missing packet; 5 s if zero
}

// A Viewer is a connected WHEP client. It parses frames and checks that they can be decoded.
type Viewer struct {
	Offer    string
	Answer   Answer
	Answered time.Time // when the answer arrived

	pc     *webrtc.PeerConnection
	work   sync.WaitGroup
	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	stats   Stats
	news    chan struct{} // closed and replaced at every change
	closing bool
}

// Stats are the viewer's counts.
type Stats struct {
	VideoPackets, AudioPackets int
	Frames, Keyframes          int
	// frames that cannot be decoded: a packet before them is missing, or no keyframe came first
	Broken int
	Gaps   int // gaps with packets that never arrived
	// number of packets that never arrived; no more frames than that are missing completely
	Missing int
	// time between the answer and the first decodable frame
	FirstFrame               time.Duration
	LastVideoTS, LastAudioTS uint32
	LastVideo, LastAudio     time.Time
	Payload                  []byte // payload of the last audio packet
	VideoReport, AudioReport *rtcp.SenderReport
}

// View connects a viewer. The error is a *StatusError if the offer was refused. The viewer is
// closed at the end of the test.
func View(t testing.TB, endpoint Endpoint, o ViewOptions) (*Viewer, error) {
	t.Helper()
	video := []webrtc.RTPCodecParameters{h264()}
	if o.VP8 {
		video = []webrtc.RTPCodecParameters{vp8(), h264()}
	}
	pc, err := connector{
		profile: dtls.SRTP_AEAD_AES_128_GCM, transportCC: !o.NoTransportCC,
		video: video, tcp: o.TCP, relays: o.Relays,
	}.connect()
	if err != nil {
		return nil, err
	}
	v := &Viewer{pc: pc, closed: make(chan struct{}), news: make(chan struct{})}
	t.Cleanup(v.Close)
	if err := v.start(t.Context(), endpoint, o); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *Viewer) start(ctx context.Context, endpoint Endpoint, o ViewOptions) error {
	connected := watch(v.pc, func() { v.once.Do(func() { close(v.closed) }) })
	v.pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		v.begin(func() { v.readReports(track, receiver) })
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			v.begin(func() { v.readAudio(track) })
		} else {
			v.begin(func() { v.readVideo(track, cmp.Or(o.Patience, 5*time.Second)) })
		}
	})
	for _, kind := range o.kinds() {
		if _, err := v.pc.AddTransceiverFromKind(kind,
			webrtc.RTPTransceiverInit{
				Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	post := func(ctx context.Context, offer string) (Answer, error) {
		v.Offer = offer
		answer, err := endpoint(ctx, offer)
		v.Answered = time.Now()
		return answer, err
	}
	var err error
	if v.Answer, err = negotiate(ctx, v.pc, post, offering{passive: o.Passive}); err != nil {
		return err
	}
	select {
	case <-connected:
		return nil
	case <-v.closed:
		return errors.New("the connection ended before it was up")
	case <-time.After(connectWithin):
		return errors.New("the connection did not come up in time")
	}
}

// begin runs the function `f` in a goroutine, unless the viewer is closing, since a track may
// arrive while it closes.
func (v *Viewer) begin(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closing {
		v.work.Go(f)
	}
}

func (o ViewOptions) kinds() (kinds []webrtc.RTPCodecType) {
	if !o.NoAudio {
		kinds = append(kinds, webrtc.RTPCodecTypeAudio)
	}
	if !o.NoVideo {
		kinds = append(kinds, webrtc.RTPCodecTypeVideo)
	}
	return kinds
}

func (v *Viewer) change(f func(*Stats)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.stats)
	close(v.news)
	v.news = make(chan struct{})
}

func (v *Viewer) readReports(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if sr, ok := packet.(*rtcp.SenderReport); ok {
				v.change(func(s *Stats) {
					if track.Kind() == webrtc.RTPCodecTypeAudio {
						s.AudioReport = sr
					} else {
						s.VideoReport = sr
					}
				})
			}
		}
	}
}

func (v *Viewer) readAudio(track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		v.change(func(s *Stats) {
			s.AudioPackets++
			s.LastAudioTS, s.LastAudio, s.Payload = packet.Timestamp, time.Now(), packet.Payload
		})
	}
}

// readVideo assembles frames. The sample builder waits for missing packets, which NACKs request,
// until patience has passed.
func (v *Viewer) readVideo(track *webrtc.TrackRemote, patience time.Duration) {
	builder := samplebuilder.New(2048, &codecs.H264Packet{}, 90000,
		samplebuilder.WithMaxTimeDelay(patience))
	decodable := false
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		v.change(func(s *Stats) { s.VideoPackets++ })
		builder.Push(packet)
		for sample := builder.Pop(); sample != nil; sample = builder.Pop() {
			decodable = v.frame(sample, decodable)
		}
	}
}

// frame counts a frame, and reports whether it can be decoded. It can if it is a keyframe, or if no
// packet is missing since a keyframe.
func (v *Viewer) frame(sample *media.Sample, decodable bool) bool {
	sps, idr := false, false
	for nal := range nals(sample.Data) {
		sps = sps || nal[0]&0x1f == 7
		idr = idr || nal[0]&0x1f == 5
	}
	key := sps && idr
	gap := sample.PrevDroppedPackets > 0
	decodable = key || decodable && !gap
	v.change(func(s *Stats) {
		s.Frames++
		s.LastVideoTS, s.LastVideo = sample.PacketTimestamp, time.Now()
		if gap {
			s.Gaps++
			s.Missing += int(sample.PrevDroppedPackets)
		}
		if key {
			s.Keyframes++
		}
		if !decodable {
			s.Broken++
		} else if s.FirstFrame == 0 {
			s.FirstFrame = time.Since(v.Answered)
		}
	})
	return decodable
}

// nals yields the NAL units of an Annex B stream.
func nals(b []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start := -1
		for i := 0; i+3 < len(b); i++ {
			if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
				continue
			}
			if start >= 0 && start < i && !yield(b[start:i]) {
				return
			}
			start = i + 3
		}
		if start >= 0 && start < len(b) {
			yield(b[start:])
		}
	}
}

// Stats returns the viewer's counts so far.
func (v *Viewer) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// Wait waits until the stats satisfy a condition.
func (v *Viewer) Wait(ctx context.Context, wish func(Stats) bool) error {
	for {
		v.mu.Lock()
		stats, news := v.stats, v.news
		v.mu.Unlock()
		if wish(stats) {
			return nil
		}
		select {
		case <-news:
		case <-v.closed:
			return fmt.Errorf("the connection ended; seen %+v", stats.short())
		case <-ctx.Done():
			return fmt.Errorf("%w; seen %+v", ctx.Err(), stats.short())
		}
	}
}

func (s Stats) short() Stats { s.Payload, s.VideoReport, s.AudioReport = nil, nil, nil; return s }

// WaitFrames waits until that many frames could be decoded.
func (v *Viewer) WaitFrames(ctx context.Context, n int) error {
	return v.Wait(ctx, func(s Stats) bool { return s.Frames-s.Broken >= n })
}

// WaitAudio waits until that many audio packets arrived.
func (v *Viewer) WaitAudio(ctx context.Context, n int) error {
	return v.Wait(ctx, func(s Stats) bool { return s.AudioPackets >= n })
}

// AskKeyframe sends a PLI.
func (v *Viewer) AskKeyframe() error {
	for _, receiver := range v.pc.GetReceivers() {
		if track := receiver.Track(); track != nil && track.Kind() == webrtc.RTPCodecTypeVideo {
			return v.pc.WriteRTCP([]rtcp.Packet{
				&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())},
			})
		}
	}
	return errors.New("no picture to ask a keyframe of")
}

// Closed is closed when the connection has ended, by either side.
func (v *Viewer) Closed() <-chan struct{} { return v.closed }

// HangUp closes the connection and deletes the session.
func (v *Viewer) HangUp(ctx context.Context) error {
	v.Close()
	if v.Answer.HangUp == nil {
		return nil
	}
	return v.Answer.HangUp(ctx)
}

// Close closes the connection and waits for all goroutines.
func (v *Viewer) Close() {
	v.mu.Lock()
	v.closing = true
	v.mu.Unlock()
	v.pc.GracefulClose()
	v.work.Wait()
	v.once.Do(func() { close(v.closed) })
}
