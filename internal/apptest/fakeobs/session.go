package fakeobs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/coder/websocket"
)

// Opcodes.
const (
	opHello = iota
	opIdentify
	opIdentified
	opReidentify
	_
	opEvent
	opRequest
	opRequestResponse
	opRequestBatch
	opRequestBatchResponse
)

// Event subscriptions.
const (
	eventGeneral = 1 << iota
	eventConfig
	eventScenes
	eventInputs
	eventTransitions
	eventFilters
	eventOutputs
	eventSceneItems

	eventAll = 1<<12 - 1
)

// A session is the WebSocket connection of one client.
type session struct {
	obs  *OBS
	conn *websocket.Conn
	out  chan any // messages and closings; one goroutine sends them, in order
	gone chan struct{}

	challenge     string
	identified    bool // guarded by obs.mu, like subscriptions
	subscriptions int
}

type message struct {
	Op int `json:"op"`
	D  any `json:"d"`
}

// A closing ends the session with a close code.
type closing struct {
	code   int
	reason string
}

func (o *OBS) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"obswebsocket.json"},
		InsecureSkipVerify: true, // no Origin check
	})
	if err != nil {
		return
	}
	conn.SetReadLimit(16 << 20) // no message limit
	nonce := make([]byte, 32)
	rand.Read(nonce)
	s := &session{obs: o, conn: conn, out: make(chan any, 4096), gone: make(chan struct{}),
		challenge: base64.StdEncoding.EncodeToString(nonce)}
	o.run(s)
}

func (o *OBS) run(s *session) {
	ctx, cancel := context.WithCancel(context.Background())
	o.mu.Lock()
	if o.server == nil {
		o.mu.Unlock()
		cancel()
		_ = s.conn.CloseNow()
		return
	}
	o.sessions[s] = true
	s.send(opHello, o.hello(s))
	o.touch()
	o.wg.Add(1)
	o.mu.Unlock()
	defer o.wg.Done()
	var writer sync.WaitGroup
	writer.Go(func() { s.write(ctx) })
	if end := s.read(ctx); end != nil {
		s.out <- *end
		writer.Wait()
	}
	o.mu.Lock()
	delete(o.sessions, s)
	o.touch()
	o.mu.Unlock()
	close(s.gone)
	cancel()
	_ = s.conn.CloseNow()
	writer.Wait()
}

func (o *OBS) hello(s *session) map[string]any {
	b := o.opts.Version.behaviour()
	d := map[string]any{"obsWebSocketVersion": b.websocket, "rpcVersion": 1}
	if b.helloOBS {
		d["obsStudioVersion"] = b.obs
	}
	if o.opts.Password != "" {
		d["authentication"] = map[string]string{"challenge": s.challenge, "salt": o.salt}
	}
	return d
}

// write sends the queued messages, in order, until it has sent a closing or the session ends.
func (s *session) write(ctx context.Context) {
	for {
		select {
		case next := <-s.out:
			if end, ok := next.(closing); ok {
				s.close(end)
				return
			}
			text, err := json.Marshal(next)
			if err != nil {
				panic("fakeobs: " + err.Error())
			}
			if s.conn.Write(ctx, websocket.MessageText, text) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *session) close(end closing) {
	if end.code == 0 {
		_ = s.conn.CloseNow()
		return
	}
	_ = s.conn.Close(websocket.StatusCode(end.code), end.reason)
}

// read reads messages until the session ends. It returns the closing of the session, or nil if the
// client has disconnected.
func (s *session) read(ctx context.Context) *closing {
	for {
		kind, text, err := s.conn.Read(ctx)
		if err != nil {
			return nil
		}
		if kind != websocket.MessageText {
			return &closing{
				4002, "Your session encoding is set to Json, but a binary message was received.",
			}
		}
		if end := s.message(text); end != nil {
			return end
		}
	}
}

func (s *session) message(text []byte) *closing {
	var raw any
	if err := json.Unmarshal(text, &raw); err != nil {
		return &closing{4002, "Unable to decode Json: " + err.Error()}
	}
	in, ok := raw.(map[string]any)
	if !ok {
		return &closing{4002, "You sent a non-object payload."}
	}
	if in["op"] == nil {
		return &closing{4006, "Your request is missing an `op`."}
	}
	op, ok := in["op"].(float64)
	if !ok {
		return &closing{4006, "Your `op` is not a number."}
	}
	if in["d"] == nil {
		return &closing{4003, "Your payload is missing data (`d`)."}
	}
	d, ok := in["d"].(map[string]any)
	if !ok {
		return &closing{4004, "Your payload's data (`d`) is not an object."}
	}
	if op != opIdentify && !s.isIdentified() {
		return &closing{4007, "You attempted to send a non-Identify message while not identified."}
	}
	switch op {
	case opIdentify:
		return s.identify(d)
	case opReidentify:
		return s.reidentify(d)
	case opRequest:
		return s.request(d)
	case opRequestBatch:
		return s.batch(d)
	}
	return &closing{4006, fmt.Sprintf("Unknown OpCode: %v", op)}
}

func (s *session) isIdentified() bool {
	s.obs.mu.Lock()
	defer s.obs.mu.Unlock()
	return s.identified
}

// identify checks in the order of WebSocketServer_Protocol.cpp: first the password, then the
// version.
func (s *session) identify(d map[string]any) *closing {
	if s.isIdentified() {
		return &closing{4008, "You are already Identified with the obs-websocket server."}
	}
	if end := s.authenticate(d); end != nil {
		return end
	}
	version, end := unsigned(d, "rpcVersion")
	switch {
	case end != nil:
		return end
	case version == nil:
		return &closing{4003, "Your payload's data is missing an `rpcVersion`."}
	case *version != 1 || s.obs.opts.OtherRPC:
		return &closing{4010, "Your requested RPC version is not supported by this server."}
	}
	mask, end := unsigned(d, "eventSubscriptions")
	if end != nil {
		return end
	}
	s.obs.mu.Lock()
	defer s.obs.mu.Unlock()
	s.identified, s.subscriptions = true, eventAll
	s.subscribe(mask)
	s.obs.touch()
	return nil
}

func (s *session) reidentify(d map[string]any) *closing {
	mask, end := unsigned(d, "eventSubscriptions")
	if end != nil {
		return end
	}
	s.obs.mu.Lock()
	defer s.obs.mu.Unlock()
	s.subscribe(mask)
	return nil
}

// subscribe handles Identify and Reidentify. The caller holds the lock.
func (s *session) subscribe(mask *int) {
	if mask != nil {
		s.subscriptions = *mask
	}
	s.send(opIdentified, map[string]int{"negotiatedRpcVersion": 1})
}

// authenticate compares the authentication string, if OBS has a password.
func (s *session) authenticate(d map[string]any) *closing {
	if s.obs.opts.Password == "" {
		return nil
	}
	given, there := d["authentication"]
	if !there {
		return &closing{
			4009, "Your payload's data is missing an `authentication` string, however " +
				"authentication is required.",
		}
	}
	if given != Authentication(s.obs.opts.Password, s.obs.salt, s.challenge) {
		return &closing{4009, "Authentication failed."}
	}
	return nil
}

// Authentication is the string that answers a challenge. It hashes the hash of password and salt as
// base64 text, not as bytes.
func Authentication(password, salt, challenge string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	return hash(hash(password+salt) + challenge)
}

// unsigned reads an optional whole number. Any other value closes the session.
func unsigned(d map[string]any, key string) (*int, *closing) {
	v, there := d[key]
	if !there || v == nil {
		return nil, nil
	}
	f, ok := v.(float64)
	if !ok || f < 0 || f != float64(int(f)) {
		return nil, &closing{4004, "Your `" + key + "` is not an unsigned number."}
	}
	n := int(f)
	return &n, nil
}

func (s *session) send(op int, d any) {
	select {
	case s.out <- message{op, d}:
	case <-s.gone:
	default: // a client that does not read loses messages; the server does not wait for it
	}
}

// drop closes every session after its queued messages, and waits until all have ended.
func (o *OBS) drop(code int, reason string) {
	o.mu.Lock()
	sessions := slices.Collect(maps.Keys(o.sessions))
	o.mu.Unlock()
	for _, s := range sessions {
		select {
		case s.out <- closing{code, reason}:
		case <-s.gone:
		}
	}
	for _, s := range sessions {
		<-s.gone
	}
}

func (o *OBS) identified() (n int) {
	for s := range o.sessions {
		if s.identified {
			n++
		}
	}
	return n
}

// emit sends an event to the sessions that subscribed to it. The caller holds the lock.
func (o *OBS) emit(intent int, kind string, data any) {
	o.touch()
	if !o.ready {
		return
	}
	d := map[string]any{"eventType": kind, "eventIntent": intent}
	if data != nil {
		d["eventData"] = data
	}
	for s := range o.sessions {
		if s.identified && s.subscriptions&intent != 0 {
			s.send(opEvent, d)
		}
	}
}
