package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"
	"golang.org/x/net/ipv4"
)

// A client is the smallest WebRTC peer that a server accepts.
type client struct {
	conn     *net.UDPConn
	ufrag    string
	cert     tls.Certificate
	password string // the server's ICE password
	check    []byte // this client's connectivity check, also sent as keep-alive
	checked  chan struct{}
	once     sync.Once
	dtlsIn   *packetio.Buffer

	sampling bool
	in       *srtp.Context
	inReady  atomic.Bool
	out      *srtp.Context

	arrivals *twcc.Recorder // transport-wide numbers that a viewer received; owned by the reader
	fedBack  time.Time

	answered time.Time
	first    time.Duration // time from the answer to the first packet of the picture
	packets  atomic.Int64
	mu       sync.Mutex
	delays   []time.Duration
}

var (
	answerUfrag = regexp.MustCompile(`a=ice-ufrag:(\S+)`)
	answerPwd   = regexp.MustCompile(`a=ice-pwd:(\S+)`)
	answerAddr  = regexp.MustCompile(`a=candidate:\S+ 1 udp \d+ (127\.0\.0\.1) (\d+)`)
)

// connect sends an offer to the URL and returns when the connection is up.
func connect(cert tls.Certificate, url, direction string, sampling bool) (*client, error) {
	c := &client{ufrag: rand.Text()[:8], cert: cert, checked: make(chan struct{}),
		dtlsIn: packetio.NewBuffer(), sampling: sampling,
		arrivals: twcc.NewRecorder(1)}
	answer, err := post(url, c.offer(direction))
	if err != nil {
		return nil, err
	}
	c.answered = time.Now()
	addr := answerAddr.FindStringSubmatch(answer)
	if addr == nil {
		return nil, errors.New("no candidate on 127.0.0.1 in the answer")
	}
	port, _ := strconv.Atoi(addr[2])
	if c.conn, err = net.DialUDP("udp4", nil,
		&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err != nil {
		return nil, err
	}
	c.conn.SetReadBuffer(1 << 20)
	c.password = answerPwd.FindStringSubmatch(answer)[1]
	c.check = c.makeCheck(answerUfrag.FindStringSubmatch(answer)[1])
	go c.read()
	return c, c.start()
}

// listen connects a viewer of the baseline.
func listen(url string) (*client, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(1 << 20)
	c := &client{conn: conn, answered: time.Now()}
	go c.drain()
	_, err = post(url, conn.LocalAddr().String())
	return c, err
}

func (c *client) offer(direction string) string {
	sum := sha256.Sum256(c.cert.Certificate[0])
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	common := "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=setup:active\r\na=" + direction +
		"\r\na=ice-ufrag:" + c.ufrag + "\r\na=ice-pwd:" + strings.Repeat("p", 24) + "\r\n"
	source := func(ssrc int) string {
		if direction == "recvonly" {
			return ""
		}
		return fmt.Sprintf("a=ssrc:%d cname:bench\r\na=ssrc:%d msid:bench %d\r\n", ssrc, ssrc, ssrc)
	}
	transportCC := ""
	if direction == "recvonly" {
		transportCC = "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\na=rtcp-fb:96 transport-cc\r\n"
	}
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 " +
		"1\r\na=fingerprint:sha-256 " + strings.Join(pairs, ":") + "\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n" + common + source(audioSSRC) +
		"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n" + common + source(videoSSRC) +
		"a=rtpmap:96 H264/90000\r\n" + transportCC +
		"a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=fmtp:96 " +
		"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
}

func (c *client) makeCheck(serverUfrag string) []byte {
	return stun.MustBuild(stun.TransactionID, stun.BindingRequest,
		stun.NewUsername(serverUfrag+":"+c.ufrag),
		raw{stun.AttrICEControlling, binary.BigEndian.AppendUint64(nil, mathrand.Uint64())},
		raw{stun.AttrPriority, []byte{0x6e, 0, 1, 255}}, raw{stun.AttrUseCandidate, nil},
		stun.NewShortTermIntegrity(c.password), stun.Fingerprint).Raw
}

type raw struct {
	kind  stun.AttrType
	value []byte
}

func (r raw) AddTo(m *stun.Message) error { m.Add(r.kind, r.value); return nil }

func (c *client) start() error {
	for try := 0; ; try++ {
		c.conn.Write(c.check)
		select {
		case <-c.checked:
			return c.handshake()
		case <-time.After(200 * time.Millisecond):
			if try == 25 {
				return errors.New("the connectivity check has no answer")
			}
		}
	}
}

type dtlsEnd struct {
	*packetio.Buffer
	c *client
}

func (e dtlsEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := e.Read(b, nil)
	return n, e.c.conn.RemoteAddr(), err
}
func (e dtlsEnd) WriteTo(b []byte, _ net.Addr) (int, error) { return e.c.conn.Write(b) }
func (e dtlsEnd) LocalAddr() net.Addr                       { return e.c.conn.LocalAddr() }
func (e dtlsEnd) SetDeadline(at time.Time) error            { return e.SetReadDeadline(at) }
func (e dtlsEnd) SetWriteDeadline(time.Time) error          { return nil }

func (c *client) handshake() error {
	conn, err := dtls.ClientWithOptions(dtlsEnd{c.dtlsIn, c}, c.conn.RemoteAddr(),
		dtls.WithCertificates(c.cert), dtls.WithInsecureSkipVerify(true),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	state, _ := conn.ConnectionState()
	cfg := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return err
	}
	k := cfg.Keys
	if c.in, err = srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt,
		cfg.Profile); err != nil {
		return err
	}
	if c.out, err = srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt,
		cfg.Profile); err != nil {
		return err
	}
	c.inReady.Store(true)
	return nil
}

// patience is how long a viewer that does not measure latency lets packets accumulate. Reading many
// at once takes less time from the measured process.
const patience = 20 * time.Millisecond

// drain counts packets without inspecting them.
func (c *client) drain() {
	batcher := ipv4.NewPacketConn(c.conn)
	messages := make([]ipv4.Message, 32)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, 20)}
	}
	for {
		n, err := batcher.ReadBatch(messages, 0)
		if err != nil {
			return
		}
		for _, m := range messages[:n] {
			if kind := m.Buffers[0][1] & 0x7f; m.Buffers[0][0] >= 128 && (kind < 64 || kind > 95) {
				c.packets.Add(1)
				c.record(m.Buffers[0][:m.N])
			}
		}
		c.feedBack()
		if n < len(messages) {
			time.Sleep(patience)
		}
	}
}

// read counts packets, and inspects each.
func (c *client) read() {
	b := make([]byte, 2048)
	for {
		n, err := c.conn.Read(b)
		if err != nil {
			return
		}
		switch {
		case b[0] <= 3:
			c.once.Do(func() { close(c.checked) })
		case b[0] < 64:
			c.dtlsIn.Write(b[:n], nil)
		case b[1]&0x7f < 64 || b[1]&0x7f > 95: // not RTCP, whose types give 64 to 95
			c.media(b[:n])
			c.record(b[:n])
			c.feedBack()
			if !c.sampling && c.first != 0 && c.inReady.Load() {
				c.drain()
				return
			}
		}
	}
}

// record records the transport-wide number of a packet, if it has one: in an RTP header without
// CSRCs and with only that extension.
func (c *client) record(b []byte) {
	if len(b) >= 20 && b[0] == 0x90 && b[16] == 3<<4|1 && c.arrivals != nil {
		c.arrivals.Record(videoSSRC, binary.BigEndian.Uint16(b[17:]),
			time.Since(c.answered).Microseconds())
	}
}

// feedBack sends the recorded feedback, about as often as Chromium does.
func (c *client) feedBack() {
	if c.arrivals == nil || !c.inReady.Load() || time.Since(c.fedBack) < 50*time.Millisecond {
		return
	}
	c.fedBack = time.Now()
	for _, packet := range c.arrivals.BuildFeedbackPacket() {
		plain, err := packet.Marshal()
		if err != nil {
			continue
		}
		if sealed, err := c.out.EncryptRTCP(nil, plain, nil); err == nil {
			c.conn.Write(sealed)
		}
	}
}

func (c *client) media(b []byte) {
	c.packets.Add(1)
	if c.first == 0 && b[1]&0x7f == 96 {
		c.first = time.Since(c.answered)
	}
	if !c.sampling || !c.inReady.Load() || b[1]&0x7f != 96 {
		return
	}
	plain, err := c.in.DecryptRTP(nil, b, nil)
	if err != nil || len(plain) < 8 {
		return
	}
	sent := int64(binary.BigEndian.Uint64(plain[len(plain)-8:]))
	c.mu.Lock()
	c.delays = append(c.delays, time.Duration(time.Now().UnixNano()-sent))
	c.mu.Unlock()
}

const (
	audioSSRC = 1111
	videoSSRC = 2222
	frameRate = 30
	perFrame  = 9 // packets: 2.5 Mb/s
	payload   = 1150
)

// publish sends media in real time until it is stopped.
func publish(ctx context.Context, send func(b []byte, key bool)) {
	frames := time.NewTicker(time.Second / frameRate)
	sound := time.NewTicker(20 * time.Millisecond)
	var videoSeq, audioSeq uint16
	for frame, sounds := uint32(0), uint32(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-frames.C:
			key := frame%(2*frameRate) == 0
			if key {
				send(packet(96, &videoSeq, frame*90000/frameRate, videoSSRC, false,
					[]byte{0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8, 0x06, 0xd0, 0xa1,
						0x35}), key)
			}
			for i := range perFrame {
				send(packet(96, &videoSeq, frame*90000/frameRate, videoSSRC, i == perFrame-1,
					fragment(key, i)), key)
			}
			frame++
		case <-sound.C:
			send(packet(111, &audioSeq, sounds*960, audioSSRC, true,
				append([]byte{0xfc}, make([]byte, 159)...)), false)
			sounds++
		}
	}
}

// fragment returns a fragment of a slice (FU-A). Its last bytes are the time at which it was made.
func fragment(key bool, i int) []byte {
	b := make([]byte, payload)
	kind := byte(1)
	if key {
		kind = 5
	}
	b[0], b[1], b[2] = 0x7c, kind, 0x9a
	if i == 0 {
		b[1] |= 0x80
	}
	if i == perFrame-1 {
		b[1] |= 0x40
	}
	binary.BigEndian.PutUint64(b[len(b)-8:], uint64(time.Now().UnixNano()))
	return b
}

func packet(pt byte, seq *uint16, ts uint32, ssrc uint32, marker bool, payload []byte) []byte {
	b := []byte{0x80, pt}
	if marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, *seq)
	*seq++
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	return append(b, payload...)
}

func runClients(kind, url string, s shape, measured time.Duration) error {
	cert, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var produced atomic.Int64
	var kept []*client
	for i := range s.publishers {
		if kind == "baseline" {
			break // the baseline generates its own packets
		}
		publisher, err := connect(cert, fmt.Sprint(url, "/whip/", i), "sendonly", false)
		if err != nil {
			return fmt.Errorf("publisher: %w", err)
		}
		kept = append(kept, publisher)
		go publish(ctx, func(b []byte, _ bool) {
			if sealed, err := publisher.out.EncryptRTP(nil, b, nil); err == nil {
				publisher.conn.Write(sealed)
				produced.Add(1)
			}
		})
	}
	time.Sleep(2500 * time.Millisecond) // long enough for a keyframe
	var r result
	if r.Before, err = usageAt(url); err != nil {
		return err
	}
	viewers := make([]*client, s.viewers())
	for i := range viewers {
		endpoint := fmt.Sprint(url, "/whep/", i%s.publishers)
		if kind == "baseline" {
			viewers[i], err = listen(endpoint)
		} else {
			viewers[i], err = connect(cert, endpoint, "recvonly", i%10 == 0 || len(viewers) <= few)
			kept = append(kept, viewers[i])
		}
		if err != nil {
			return fmt.Errorf("viewer %d: %w", i, err)
		}
	}
	go keepAlive(ctx, kept)
	time.Sleep(2500 * time.Millisecond) // long enough for all viewers to catch up
	if err := r.watch(url, viewers, s, &produced, measured); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// If there are at most this many viewers, all of them decrypt, to measure latency.
const few = 20

func (r *result) watch(
	url string, viewers []*client, s shape, produced *atomic.Int64, measured time.Duration,
) (err error) {
	var firsts, delays []time.Duration
	for _, v := range viewers {
		firsts = append(firsts, v.first)
		v.mu.Lock()
		v.delays = nil
		v.mu.Unlock()
	}
	if r.Start, err = usageAt(url); err != nil {
		return err
	}
	began, packets, made := time.Now(), count(viewers), produced.Load()
	time.Sleep(measured)
	r.Packets, r.Took = count(viewers)-packets, time.Since(began)
	r.Expected = int(produced.Load()-made) * s.each
	if made == 0 {
		r.Expected = r.Packets
	}
	if r.End, err = usageAt(url); err != nil {
		return err
	}
	for _, v := range viewers {
		v.mu.Lock()
		delays = append(delays, v.delays...)
		v.mu.Unlock()
	}
	r.P50, r.P99 = quantile(delays, 0.5), quantile(delays, 0.99)
	r.FirstP50, r.FirstP99 = quantile(firsts, 0.5), quantile(firsts, 0.99)
	return nil
}

func count(viewers []*client) (n int) {
	for _, v := range viewers {
		n += int(v.packets.Load())
	}
	return n
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[int(float64(len(list)-1)*q)]
}

// keepAlive repeats the check, as every ICE agent does (RFC 7675).
func keepAlive(ctx context.Context, clients []*client) {
	ticker := time.NewTicker(4 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, c := range clients {
				c.conn.Write(c.check)
			}
		}
	}
}
