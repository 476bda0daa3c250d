package rtcpeer

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/webrtc/v4"
)

// connectWithin is how long a connection may take. It is long because the machine may be
// overloaded.
const connectWithin = time.Minute

// A connector makes connections that stay on loopback.
type connector struct {
	profile     dtls.SRTPProtectionProfile // the only accepted profile
	transportCC bool                       // sends transport-wide feedback
	video       []webrtc.RTPCodecParameters
	tcp         bool        // no UDP
	relays      []ICEServer // TURN servers; if there are any, the peer connects by them only
}

func (c connector) connect() (*webrtc.PeerConnection, error) {
	engine := &webrtc.MediaEngine{}
	for _, codec := range c.video {
		if err := engine.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	if err := engine.RegisterCodec(opus(), webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	// By default pion keeps 512 packets to answer NACKs. The burst for a late viewer has more
	// packets. OBS keeps 4000.
	err := errors.Join(
		webrtc.ConfigureNackWithOptions(engine, registry,
			[]nack.GeneratorOption{nack.GeneratorSize(4096)}, nack.ResponderSize(4096)),
		webrtc.ConfigureRTCPReports(registry),
		webrtc.ConfigureSimulcastExtensionHeaders(engine))
	if c.transportCC {
		err = errors.Join(err, webrtc.ConfigureTWCCSender(engine, registry))
	}
	if err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetSRTPProtectionProfiles(c.profile)
	// By default pion drops a packet that arrives more than 64 packets late, because it may be a
	// replay. In the burst for a late viewer, a repeated packet arrives later than that.
	settings.SetSRTPReplayProtectionWindow(4096)
	// By default a connection counts as lost after 5 seconds without an answer. On a busy machine,
	// other processes can take that long.
	settings.SetICETimeouts(15*time.Second, 25*time.Second, 2*time.Second)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(net.IP.IsLoopback)
	network := webrtc.NetworkTypeUDP4
	if c.tcp {
		network = webrtc.NetworkTypeTCP4
	}
	settings.SetNetworkTypes([]webrtc.NetworkType{network})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings))
	return api.NewPeerConnection(c.configuration())
}

func (c connector) configuration() (config webrtc.Configuration) {
	for _, relay := range c.relays {
		config.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		config.ICEServers = append(config.ICEServers, webrtc.ICEServer{
			URLs: []string{relay.URL}, Username: relay.Username, Credential: relay.Credential,
		})
	}
	return config
}

func videoFeedback() []webrtc.RTCPFeedback {
	return []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
	}
}

func h264() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: videoFeedback(),
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"}}
}

func vp8() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: 97, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: videoFeedback()}}
}

func opus() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: 111,
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1"}}
}

// An offering describes how an offer is made.
type offering struct {
	candidates bool // wait for the candidates and include them
	passive    bool // a=setup:passive
}

// watch returns a channel that is closed when the connection is up. It calls the given function
// when the connection has ended, or is lost after it was up. A connection that is lost before it
// was up may still come up.
func watch(pc *webrtc.PeerConnection, ended func()) (connected <-chan struct{}) {
	up := make(chan struct{})
	comesUp := sync.OnceFunc(func() { close(up) })
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			comesUp()
		case webrtc.PeerConnectionStateDisconnected:
			select {
			case <-up:
				ended()
			default:
			}
		case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed:
			ended()
		}
	})
	return up
}

// negotiate sends the offer to the endpoint and applies the answer.
func negotiate(
	ctx context.Context, pc *webrtc.PeerConnection, endpoint Endpoint, o offering,
) (Answer, error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return Answer{}, err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return Answer{}, err
	}
	text := offer.SDP // like OBS since 30.2: without candidates
	if o.candidates {
		select {
		case <-gathered:
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
		text = pc.LocalDescription().SDP
	}
	if o.passive { // pion takes the remaining role
		text = strings.ReplaceAll(text, "a=setup:actpass", "a=setup:passive")
	}
	answer, err := endpoint(ctx, text)
	if err != nil {
		return Answer{}, err
	}
	return answer, pc.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer, SDP: answer.SDP,
	})
}
