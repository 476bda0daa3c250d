package rtcpeer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// PublishOptions describe how the publisher differs from OBS.
type PublishOptions struct {
	Clip       *Clip    // nil means MakeClip with its defaults
	Layers     []*Clip  // simulcast: one clip for each rid "0", "1", …; Clip is ignored
	RIDs       []string // rids of the layers, in place of "0", "1", …
	NoVideo    bool     // no m-line for the picture
	NoAudio    bool
	VP8        bool // the m-line of the picture offers only VP8
	Candidates bool // put candidates into the offer, as OBS before 30.2 did
	Passive    bool // be the DTLS server (a=setup:passive), like FFmpeg's WHIP muxer
	Headers    Headers
	Live       net.PacketConn // source of the picture as RTP, in place of the clip
	TCP        bool           // connect only by TCP, as from a network that blocks UDP
	Relays     []ICEServer    // connect only by these TURN servers
}

// Headers selects where the parameter sets (SPS and PPS) are sent.
type Headers int

// The values of Headers. OBS uses HeadersRepeated.
const (
	HeadersRepeated Headers = iota // with each keyframe
	HeadersFirst                   // with the first keyframe only
	HeadersOffered                 // in the offer only (sprop-parameter-sets)
	HeadersMissing                 // nowhere
)

// A Publisher is a connected WHIP client that sends media in real time until it is closed.
type Publisher struct {
	Offer  string // the offer that it sent
	Answer Answer

	pc     *webrtc.PeerConnection
	stop   context.CancelFunc
	work   sync.WaitGroup
	once   sync.Once
	closed chan struct{}
	plis   atomic.Int64
	nacks  atomic.Int64
	paused atomic.Bool
	frames atomic.Int64
	bytes  atomic.Int64
	layers []*layer
}

// Publish connects a publisher, which starts to send media. The error is a *StatusError if the
// offer was refused. The publisher is closed at the end of the test.
func Publish(t testing.TB, endpoint Endpoint, o PublishOptions) (*Publisher, error) {
	t.Helper()
	if o.Clip == nil && len(o.Layers) == 0 {
		o.Clip = MakeClip(t, ClipOptions{})
	}
	if len(o.Layers) == 0 {
		o.Layers = []*Clip{o.Clip}
	}
	video := h264()
	if o.VP8 {
		video = vp8()
	}
	// OBS is built with mbedTLS, which supports no other SRTP profile.
	pc, err := connector{
		profile: dtls.SRTP_AES128_CM_HMAC_SHA1_80, transportCC: true,
		video: []webrtc.RTPCodecParameters{video}, tcp: o.TCP, relays: o.Relays,
	}.connect()
	if err != nil {
		return nil, err
	}
	p := &Publisher{pc: pc, closed: make(chan struct{})}
	if err := p.start(t.Context(), endpoint, o); err != nil {
		p.Close()
		return nil, err
	}
	// Register the cleanup only after success, because a fake OBS that reconnects calls Publish on
	// its own goroutine, even while the test ends.
	t.Cleanup(p.Close)
	return p, nil
}

func (p *Publisher) start(ctx context.Context, endpoint Endpoint, o PublishOptions) error {
	ctx, p.stop = context.WithCancel(ctx)
	connected := watch(p.pc, func() { p.once.Do(func() { close(p.closed) }) })
	audio, video, err := p.addTracks(o)
	if err != nil {
		return err
	}
	post := func(ctx context.Context, offer string) (Answer, error) {
		if o.Headers == HeadersOffered {
			offer = strings.Replace(offer, "a=fmtp:96 ",
				"a=fmtp:96 sprop-parameter-sets="+o.Layers[0].sprop()+";", 1)
		}
		p.Offer = offer
		return endpoint(ctx, offer)
	}
	if p.Answer, err = negotiate(ctx, p.pc, post, offering{o.Candidates, o.Passive}); err != nil {
		return err
	}
	select {
	case <-connected:
	case <-p.closed:
		return errors.New("the connection ended before it was up")
	case <-time.After(connectWithin):
		return errors.New("the connection did not come up in time")
	}
	p.layers = video
	start := time.Now()
	if audio != nil {
		p.work.Go(func() { p.sendAudio(ctx, audio, o.Layers[0], start) })
	}
	for i, track := range video {
		track.headers = o.Headers
		if o.Live != nil {
			p.work.Go(func() { p.forward(ctx, track, o.Live) })
		} else {
			p.work.Go(func() { p.sendVideo(ctx, track, o.Layers[i], start) })
		}
	}
	return nil
}

// A layer is one encoding that is being sent.
type layer struct {
	track  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	rid    string
	first  bool
	paused atomic.Bool

	headers Headers
}

func (p *Publisher) addTracks(
	o PublishOptions,
) (audio *webrtc.TrackLocalStaticRTP, video []*layer, err error) {
	if !o.NoAudio {
		if audio, err = webrtc.NewTrackLocalStaticRTP(opus().RTPCodecCapability, "audio",
			"obs"); err != nil {
			return nil, nil, err
		}
		if _, err := p.pc.AddTransceiverFromTrack(audio, sendOnly()); err != nil {
			return nil, nil, err
		}
	}
	if !o.NoVideo {
		video, err = p.addVideo(o)
	}
	return audio, video, err
}

func sendOnly() webrtc.RTPTransceiverInit {
	return webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
}

func (p *Publisher) addVideo(o PublishOptions) (layers []*layer, err error) {
	capability := h264().RTPCodecCapability
	if o.VP8 {
		capability = vp8().RTPCodecCapability
	}
	for i := range o.Layers {
		l := &layer{first: i == 0}
		var options []func(*webrtc.TrackLocalStaticRTP)
		if len(o.Layers) > 1 {
			l.rid = fmt.Sprint(i)
			if i < len(o.RIDs) {
				l.rid = o.RIDs[i]
			}
			options = append(options, webrtc.WithRTPStreamID(l.rid))
		}
		if l.track, err = webrtc.NewTrackLocalStaticRTP(capability, "video", "obs",
			options...); err != nil {
			return nil, err
		}
		if i == 0 {
			transceiver, err := p.pc.AddTransceiverFromTrack(l.track, sendOnly())
			if err != nil {
				return nil, err
			}
			l.sender = transceiver.Sender()
			p.work.Go(func() { p.readRTCP(l.sender) })
		} else {
			l.sender = layers[0].sender
			if err := l.sender.AddEncoding(l.track); err != nil {
				return nil, err
			}
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// readRTCP counts requests for keyframes. Like OBS, the publisher sends no keyframe in response.
// pion answers NACKs.
func (p *Publisher) readRTCP(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				p.plis.Add(1)
			case *rtcp.TransportLayerNack:
				p.nacks.Add(1)
			}
		}
	}
}

func (p *Publisher) sendAudio(
	ctx context.Context, track *webrtc.TrackLocalStaticRTP, clip *Clip, start time.Time,
) {
	packetizer := rtp.NewPacketizer(1200, 111, 1, &codecs.OpusPayloader{},
		rtp.NewRandomSequencer(), 48000)
	samples := uint32(960)
	if clip.Options.AAC {
		// OBS sends a frame of AAC under Opus's payload type, with the timestamps of AAC.
		samples = 1024
	}
	each := time.Duration(samples) * time.Second / 48000
	for i := 0; waitUntil(ctx, start.Add(time.Duration(i)*each)); i++ {
		for _, packet := range packetizer.Packetize(clip.Audio[i%len(clip.Audio)], samples) {
			p.write(track, packet)
		}
	}
}

func (p *Publisher) sendVideo(ctx context.Context, l *layer, clip *Clip, start time.Time) {
	each := time.Second / time.Duration(clip.Options.FPS)
	loop := each * time.Duration(len(clip.Frames))
	base := rand.Uint32()
	packetizer := rtp.NewPacketizer(1200, 96, 1, &codecs.H264Payloader{},
		rtp.NewRandomSequencer(), 90000)
	ids := headerExtensions(l)
	for i := 0; waitUntil(ctx, start.Add(time.Duration(i)*each)); i++ {
		frame := clip.Frames[i%len(clip.Frames)]
		at := loop*time.Duration(i/len(clip.Frames)) + frame.PTS
		for _, packet := range packetizer.Packetize(frame.annexB(l.withHeaders(i)), 0) {
			packet.Timestamp = base + uint32(at.Seconds()*90000+0.5)
			for id, value := range ids {
				packet.SetExtension(id, []byte(value))
			}
			if !l.paused.Load() {
				p.write(l.track, packet)
			}
		}
		if l.first {
			p.frames.Add(1)
		}
	}
}

// forward sends the packets of an encoder as they arrive.
func (p *Publisher) forward(ctx context.Context, l *layer, live net.PacketConn) {
	stop := context.AfterFunc(ctx, func() { live.Close() })
	defer stop()
	datagram := make([]byte, 1500)
	for {
		n, _, err := live.ReadFrom(datagram)
		if err != nil {
			return
		}
		packet := &rtp.Packet{}
		if packet.Unmarshal(datagram[:n]) != nil {
			continue
		}
		packet.Payload = slices.Clone(packet.Payload)
		p.write(l.track, packet)
		if packet.Marker {
			p.frames.Add(1)
		}
	}
}

// headerExtensions returns the extensions that distinguish the layers of a simulcast (RFC 8852).
func headerExtensions(l *layer) map[uint8]string {
	if l.rid == "" {
		return nil
	}
	values := make(map[uint8]string)
	for _, e := range l.sender.GetParameters().HeaderExtensions {
		switch e.URI {
		case "urn:ietf:params:rtp-hdrext:sdes:mid":
			values[uint8(e.ID)] = "1"
		case "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id":
			values[uint8(e.ID)] = l.rid
		}
	}
	return values
}

// withHeaders reports whether frame i is sent with its parameter sets.
func (l *layer) withHeaders(i int) bool {
	return l.headers == HeadersRepeated || l.headers == HeadersFirst && i == 0
}

func isHeader(nal []byte) bool { return nal[0]&0x1f == 7 || nal[0]&0x1f == 8 }

func (f Frame) annexB(headers bool) (b []byte) {
	for _, nal := range f.NALs {
		if headers || !isHeader(nal) {
			b = append(append(b, 0, 0, 0, 1), nal...)
		}
	}
	return b
}

// sprop returns the parameter sets of the first frame in the form of an offer (RFC 6184, 8.1).
func (c *Clip) sprop() string {
	var sets []string
	for _, nal := range c.Frames[0].NALs {
		if isHeader(nal) {
			sets = append(sets, base64.StdEncoding.EncodeToString(nal))
		}
	}
	return strings.Join(sets, ",")
}

func (p *Publisher) write(track *webrtc.TrackLocalStaticRTP, packet *rtp.Packet) {
	if !p.paused.Load() {
		p.bytes.Add(int64(packet.MarshalSize()))
		track.WriteRTP(packet) // fails after the connection is closed; the loop then ends, too
	}
}

func waitUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Pause stops sending, or resumes it, and keeps the connection.
func (p *Publisher) Pause(on bool) { p.paused.Store(on) }

// PauseLayer stops or resumes one layer of a simulcast, as a browser with a slow uplink does.
func (p *Publisher) PauseLayer(i int, on bool) { p.layers[i].paused.Store(on) }

// KeyframeRequests returns the number of PLIs and FIRs received.
func (p *Publisher) KeyframeRequests() int { return int(p.plis.Load()) }

// Frames returns the number of frames sent in the first layer.
func (p *Publisher) Frames() int { return int(p.frames.Load()) }

// Bytes returns the bytes of sound and picture sent, like OBS's outputBytes.
func (p *Publisher) Bytes() int64 { return p.bytes.Load() }

// Closed is closed when the connection has ended, by either side.
func (p *Publisher) Closed() <-chan struct{} { return p.closed }

// HangUp stops as OBS does: it closes the connection, and then deletes the session.
func (p *Publisher) HangUp(ctx context.Context) error {
	p.Close()
	if p.Answer.HangUp == nil {
		return nil
	}
	return p.Answer.HangUp(ctx)
}

// Close closes the connection and waits for all goroutines.
func (p *Publisher) Close() {
	if p.stop != nil {
		p.stop()
	}
	p.pc.GracefulClose()
	p.work.Wait()
	p.once.Do(func() { close(p.closed) })
}
