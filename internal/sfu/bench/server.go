package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
	"golang.org/x/net/ipv4"

	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// serve runs the measured process. It ends when its standard input ends.
func serve(kind string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	servers := map[string]func(context.Context) (publish, view negotiate, err error){"ours": ours,
		"pion": plainPion, "baseline": bare}
	start, known := servers[kind]
	if !known {
		return fmt.Errorf("there is no server %q", kind)
	}
	whip, whep, err := start(ctx)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/{publisher}", endpoint(whip))
	mux.HandleFunc("POST /whep/{publisher}", endpoint(whep))
	mux.HandleFunc("GET /usage", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(used())
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, mux)
	fmt.Printf("http://%s\n", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// A negotiate answers an offer: to publish under the name `publisher`, or to view the publisher of
// that name.
type negotiate func(publisher, offer string) (answer string, err error)

func endpoint(negotiate negotiate) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		offer, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := negotiate(r.PathValue("publisher"), string(offer))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, answer)
	}
}

func used() (u usage) {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	statm, _ := os.ReadFile("/proc/self/statm")
	var size, resident int
	fmt.Sscan(string(statm), &size, &resident)
	u.RSS = resident * os.Getpagesize()
	return u
}

func ours(ctx context.Context) (publish, view negotiate, err error) {
	s, err := sfu.New(sfu.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		return nil, nil, err
	}
	go s.Run(ctx)
	who := func(name string) stage.Participant {
		return stage.Participant{ID: stage.ParticipantID(name), Stage: stage.LocalARN("bench")}
	}
	n := 0
	return func(publisher, offer string) (string, error) {
			_, answer, err := s.Publish(ctx, who(publisher), offer)
			return answer, err
		}, func(publisher, offer string) (string, error) {
			n++
			_, answer, err := s.Subscribe(ctx, who(fmt.Sprint("viewer", n)),
				stage.ParticipantID(publisher), offer)
			return answer, err
		}, nil
}

// pionAPI returns a pion/webrtc API that uses one UDP port of loopback and two codecs.
func pionAPI(audio, video webrtc.RTPCodecCapability) (*webrtc.API, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(4 << 20)
	conn.SetWriteBuffer(4 << 20)
	engine, registry, settings := &webrtc.MediaEngine{}, &interceptor.Registry{},
		webrtc.SettingEngine{}
	if err := engine.RegisterCodec(
		webrtc.RTPCodecParameters{RTPCodecCapability: video, PayloadType: 96},
		webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	if err := engine.RegisterCodec(
		webrtc.RTPCodecParameters{RTPCodecCapability: audio, PayloadType: 111},
		webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	if err := webrtc.RegisterDefaultInterceptors(engine, registry); err != nil {
		return nil, err
	}
	settings.SetLite(true)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, conn))
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetSRTPProtectionProfiles(7) // AEAD_AES_128_GCM, as package sfu uses
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings)), nil
}

// plainPion is the fan-out of pion's examples, on one UDP port.
func plainPion(context.Context) (publish, view negotiate, err error) {
	video := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine:  "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}}
	audio := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1"}
	api, err := pionAPI(audio, video)
	if err != nil {
		return nil, nil, err
	}

	// needs no lock, because the clients connect one after the other
	published := map[string][]*webrtc.TrackLocalStaticRTP{}
	publish = func(publisher, offer string) (string, error) {
		tracks := make([]*webrtc.TrackLocalStaticRTP, 2)
		for i, capability := range []webrtc.RTPCodecCapability{audio, video} {
			track, err := webrtc.NewTrackLocalStaticRTP(capability, fmt.Sprint(i), publisher)
			if err != nil {
				return "", err
			}
			tracks[i] = track
		}
		published[publisher] = tracks
		return answer(api, offer, func(pc *webrtc.PeerConnection) error {
			pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
				local := tracks[0]
				if remote.Kind() == webrtc.RTPCodecTypeVideo {
					local = tracks[1]
				}
				for {
					packet, _, err := remote.ReadRTP()
					if err != nil {
						return
					}
					local.WriteRTP(packet)
				}
			})
			return nil
		})
	}
	view = func(publisher, offer string) (string, error) {
		return answer(api, offer, func(pc *webrtc.PeerConnection) error {
			for _, track := range published[publisher] {
				sender, err := pc.AddTrack(track)
				if err != nil {
					return err
				}
				go func() {
					for b := make([]byte, 1500); ; {
						if _, _, err := sender.Read(b); err != nil {
							return
						}
					}
				}()
			}
			return nil
		})
	}
	return publish, view, nil
}

func answer(
	api *webrtc.API, offer string, prepare func(*webrtc.PeerConnection) error,
) (string, error) {
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	if err := prepare(pc); err != nil {
		return "", err
	}
	if err := pc.SetRemoteDescription(
		webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

// A baseline does only the unavoidable work for each packet and viewer: it encrypts the packet into
// a reused buffer, and sends packets in batches. Its viewers are plain sockets.
type baseline struct {
	conn     *ipv4.PacketConn
	sealer   cipher.AEAD
	messages []ipv4.Message

	mu      sync.Mutex
	viewers []*net.UDPAddr
}

// bare returns the functions that answer offers if the measured process is only a baseline. For
// each publisher there is one baseline, which starts when the first viewer joins. Offers to publish
// are refused, because a baseline generates its own packets.
func bare(ctx context.Context) (publish, view negotiate, err error) {
	baselines := map[string]*baseline{}
	view = func(publisher, addr string) (string, error) {
		if baselines[publisher] == nil {
			f, err := newBaseline(ctx)
			if err != nil {
				return "", err
			}
			baselines[publisher] = f
		}
		return baselines[publisher].join(addr)
	}
	refuse := func(string, string) (string, error) {
		return "", errors.New("the baseline publishes itself")
	}
	return refuse, view, nil
}

func newBaseline(ctx context.Context) (*baseline, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	conn.SetWriteBuffer(4 << 20)
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	f := &baseline{conn: ipv4.NewPacketConn(conn), messages: make([]ipv4.Message, 64)}
	if f.sealer, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	for i := range f.messages {
		f.messages[i].Buffers = [][]byte{make([]byte, 1500)}
	}
	go publish(ctx, f.send)
	return f, nil
}

func (f *baseline) join(addr string) (string, error) {
	udp, err := net.ResolveUDPAddr("udp4", addr)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.viewers = append(f.viewers, udp)
	return "", err
}

func (f *baseline) send(packet []byte, _ bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var nonce [12]byte
	for rest := f.viewers; len(rest) > 0; {
		n := min(len(rest), len(f.messages))
		for i, viewer := range rest[:n] {
			b := append(f.messages[i].Buffers[0][:0], packet[:12]...)
			f.messages[i].Buffers[0] = f.sealer.Seal(b, nonce[:], packet[12:], b)
			f.messages[i].Addr = viewer
		}
		for batch := f.messages[:n]; len(batch) > 0; {
			sent, err := f.conn.WriteBatch(batch, 0)
			if err != nil {
				sent = max(sent, 1)
			}
			batch = batch[sent:]
		}
		rest = rest[n:]
	}
}
