package whipcheck

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// The payload types that OBS sends, no matter which ones the answer contains.
const (
	h264Type = 96
	opusType = 111
)

// A peer is the publishing side. Like OBS, it offers no candidates, and only the SRTP profile of
// OBS's builds.
type peer struct {
	pc        *webrtc.PeerConnection
	audio     *webrtc.TrackLocalStaticRTP
	video     *webrtc.TrackLocalStaticRTP
	connected chan struct{}
	ended     chan struct{}
	endOnce   sync.Once

	reports, keyframes atomic.Int64
	readers            sync.WaitGroup

	mu   sync.Mutex
	lost map[uint32]uint32 // guarded by mu: lost packets, by the SSRC of the track
}

// newPeer returns a peer with one layer for each rid, or one layer without a rid.
func newPeer(rids ...string) (*peer, error) {
	engine := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	err := errors.Join(
		engine.RegisterCodec(h264(), webrtc.RTPCodecTypeVideo),
		engine.RegisterCodec(opus(), webrtc.RTPCodecTypeAudio),
		webrtc.ConfigureNack(engine, registry),
		webrtc.ConfigureRTCPReports(registry),
		webrtc.ConfigureSimulcastExtensionHeaders(engine))
	if err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	settings.SetIncludeLoopbackCandidate(true) // the endpoint may be on this machine
	pc, err := webrtc.NewAPI(
		webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings),
	).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	p := &peer{
		pc: pc, connected: make(chan struct{}), ended: make(chan struct{}),
		lost: map[uint32]uint32{},
	}
	pc.OnConnectionStateChange(p.changed)
	if err := p.addTracks(rids); err != nil {
		pc.Close()
		return nil, err
	}
	return p, nil
}

func h264() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: h264Type,
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
			SDPFmtpLine:  "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}},
		}}
}

func opus() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: opusType,
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1",
		}}
}

func (p *peer) changed(state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		select {
		case <-p.connected:
		default:
			close(p.connected)
		}
	case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed,
		webrtc.PeerConnectionStateDisconnected:
		p.endOnce.Do(func() { close(p.ended) })
	}
}

func (p *peer) addTracks(rids []string) (err error) {
	if p.audio, err = webrtc.NewTrackLocalStaticRTP(opus().RTPCodecCapability, "audio",
		"obs"); err != nil {
		return err
	}
	if err := p.add(p.audio); err != nil {
		return err
	}
	if len(rids) == 0 {
		p.video, err = webrtc.NewTrackLocalStaticRTP(h264().RTPCodecCapability, "video", "obs")
		return errors.Join(err, p.add(p.video))
	}
	var sender *webrtc.RTPSender
	for _, rid := range rids {
		layer, err := webrtc.NewTrackLocalStaticRTP(h264().RTPCodecCapability, "video", "obs",
			webrtc.WithRTPStreamID(rid))
		if err != nil {
			return err
		}
		if sender != nil {
			if err := sender.AddEncoding(layer); err != nil {
				return err
			}
			continue
		}
		transceiver, err := p.pc.AddTransceiverFromTrack(layer, sendOnly)
		if err != nil {
			return err
		}
		sender = transceiver.Sender()
	}
	return nil
}

var sendOnly = webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}

func (p *peer) add(track *webrtc.TrackLocalStaticRTP) error {
	transceiver, err := p.pc.AddTransceiverFromTrack(track, sendOnly)
	if err != nil {
		return err
	}
	p.readers.Go(func() { p.readRTCP(transceiver.Sender()) })
	return nil
}

func (p *peer) readRTCP(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			p.count(packet)
		}
	}
}

func (p *peer) count(packet rtcp.Packet) {
	switch packet := packet.(type) {
	case *rtcp.ReceiverReport:
		p.reports.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, report := range packet.Reports {
			p.lost[report.SSRC] = report.TotalLost
		}
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		p.keyframes.Add(1)
	}
}

// allLost returns how many packets of all tracks are lost, according to the latest reports.
func (p *peer) allLost() (n uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lost := range p.lost {
		n += lost
	}
	return n
}

// offer returns the offer, which has no candidates, like OBS's.
func (p *peer) offer() (string, error) {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return offer.SDP, p.pc.SetLocalDescription(offer)
}

// plainOffer returns an offer of a peer that is closed, for requests that must be refused.
func plainOffer() (string, error) {
	p, err := newPeer()
	if err != nil {
		return "", err
	}
	defer p.close()
	offer, err := p.pc.CreateOffer(nil)
	return offer.SDP, err
}

// passive changes an offer so that the endpoint is the DTLS client, as FFmpeg's muxer does.
func passive(offer string) string {
	return strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:passive")
}

// connect applies the answer and waits until media can flow.
func (p *peer) connect(ctx context.Context, answer string, limit time.Duration) error {
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer, SDP: answer,
	})
	if err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.connected:
		return nil
	case <-p.ended:
		return errors.New("the connection failed")
	case <-timer.C:
		return fmt.Errorf("no connection within %s (ICE is %s)", seconds(limit),
			p.pc.ICEConnectionState())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send publishes for a duration, or until the connection ends. It returns how many frames it sent.
func (p *peer) send(ctx context.Context, clip string, bFrames bool, d time.Duration) (int, error) {
	pictures, err := readPictures(clip, bFrames)
	if err != nil {
		return 0, err
	}
	tone, err := readTone()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var sound sync.WaitGroup
	sound.Go(func() { p.sendTone(ctx, tone) })
	defer sound.Wait()
	defer cancel()
	return p.sendPictures(ctx, pictures), nil
}

func (p *peer) sendPictures(ctx context.Context, pictures []picture) int {
	packets := rtp.NewPacketizer(1200, h264Type, 1, &codecs.H264Payloader{},
		rtp.NewRandomSequencer(), 90000)
	base, start := rand.Uint32(), time.Now()
	for i := 0; ; i++ {
		if !p.wait(ctx, start.Add(time.Duration(i)*frameTime)) {
			return i
		}
		picture := pictures[i%len(pictures)]
		at := i - i%len(pictures) + picture.display
		stamp := base + uint32(at)*uint32(90000*frameTime/time.Second)
		for _, packet := range packets.Packetize(picture.data, 0) {
			packet.Timestamp = stamp
			if p.video.WriteRTP(packet) != nil {
				return i
			}
		}
	}
}

func (p *peer) sendTone(ctx context.Context, tone [][]byte) {
	packets := rtp.NewPacketizer(1200, opusType, 1, &codecs.OpusPayloader{},
		rtp.NewRandomSequencer(), 48000)
	start := time.Now()
	for i := 0; p.wait(ctx, start.Add(time.Duration(i)*packetTime)); i++ {
		for _, packet := range packets.Packetize(tone[i%len(tone)], 960) {
			if p.audio.WriteRTP(packet) != nil {
				return
			}
		}
	}
}

// wait waits until a time, and reports whether the publication continues.
func (p *peer) wait(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ended:
		return false
	case <-ctx.Done():
		return false
	}
}

// gone reports whether the other side closes the connection within a time limit.
func (p *peer) gone(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (p *peer) close() {
	p.pc.GracefulClose()
	p.readers.Wait()
	p.endOnce.Do(func() { close(p.ended) })
}
