// Package obs controls OBS Studio over obs-websocket 5. It checks whether an OBS is ready for a
// stage, sets it up, goes live and stops. The dock has the same rules in JavaScript; tests with
// testdata/cases.json check that the findings of both are equal.
package obs

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// DefaultURL is the default address of obs-websocket.
const DefaultURL = "ws://127.0.0.1:4455"

// Options describe how to reach OBS.
type Options struct {
	URL      string        // DefaultURL if empty
	Password stage.Secret  // empty if OBS needs none
	Timeout  time.Duration // for the connection and for each answer; 10 s if zero
	// how long to wait for an OBS that is still loading (status 207); 15 s if zero
	Ready  time.Duration
	Quiet  time.Duration // pause between a switch of profiles and the next request; 1 s if zero
	Script stage.Secret  // shared with the script in OBS; empty if it is not paired
}

// A Client is one identified connection. It is safe for concurrent use.
type Client struct {
	opts Options
	conn *websocket.Conn
	done chan struct{} // closed when the reader has ended

	turns *turns

	mu       sync.Mutex
	lastID   int
	lastAsk  int64 // time of the last request to the script in OBS
	pending  map[string]chan response
	watchers []*Watch
	err      error // the reason why the reader ended; nil while it runs
}

// A requestError is a response of OBS other than "Success".
type requestError struct {
	Request string
	Code    int
	Comment string
}

func (e *requestError) Error() string {
	return fmt.Sprintf("OBS answered %s with %d: %s", e.Request, e.Code, e.Comment)
}

// The statuses on which the rules depend (RequestStatus of the protocol).
const (
	statusUnknownRequest = 204
	statusNotReady       = 207
	statusOutputRunning  = 500
	statusNotRunning     = 501
	statusNotFound       = 600
	statusExists         = 601
	statusBadState       = 604
	statusNotCreated     = 700
)

// IsStatus reports whether OBS answered with a certain status.
func IsStatus(err error, code int) bool {
	var e *requestError
	return errors.As(err, &e) && e.Code == code
}

// Opcodes of the protocol.
const (
	opHello           = 0
	opIdentify        = 1
	opIdentified      = 2
	opEvent           = 5
	opRequest         = 6
	opRequestResponse = 7
)

// The event categories that the rules need: General, Config and Outputs.
const subscriptions = 1<<0 | 1<<1 | 1<<6

var errProtocol = errors.New("not obs-websocket")

type message struct {
	Op int             `json:"op"`
	D  json.RawMessage `json:"d"`
}

type hello struct {
	Authentication *struct {
		Challenge string `json:"challenge"`
		Salt      string `json:"salt"`
	} `json:"authentication"`
}

type response struct {
	ID     string `json:"requestId"`
	Status struct {
		Result  bool   `json:"result"`
		Code    int    `json:"code"`
		Comment string `json:"comment"`
	} `json:"requestStatus"`
	Data json.RawMessage `json:"responseData"`
}

// An event is a message that OBS sends without a request.
type event struct {
	Type string          `json:"eventType"`
	Data json.RawMessage `json:"eventData"`
}

// Connect connects to OBS and identifies this client. Its errors are of type *stage.Error, and say
// what to do in OBS. Close ends the connection.
func Connect(ctx context.Context, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, opts.URL, &websocket.DialOptions{
		Subprotocols: []string{"obswebsocket.json"},
	})
	if err != nil && (answer != nil || reached(err)) {
		return nil, notOBS(opts.URL, err)
	}
	if err != nil {
		return nil, unreachable(opts.URL, err)
	}
	// the library's limit of 32 KiB is too small for responses such as lists of scenes
	conn.SetReadLimit(16 << 20)
	c := &Client{opts: opts, conn: conn, done: make(chan struct{}), turns: newTurns(opts.Quiet),
		pending: map[string]chan response{}}
	if err := c.identify(ctx); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	go c.read()
	c.announce()
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	if !strings.Contains(o.URL, "://") { // people may omit the scheme
		o.URL = "ws://" + o.URL
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Ready == 0 {
		o.Ready = 15 * time.Second
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	return o
}

func (c *Client) identify(ctx context.Context) error {
	var h hello
	if err := c.expect(ctx, opHello, &h); err != nil {
		return c.refusal(err)
	}
	d := map[string]any{"rpcVersion": 1, "eventSubscriptions": subscriptions}
	if a := h.Authentication; a != nil {
		if c.opts.Password.Empty() {
			return stage.Errorf(stage.ErrUnauthorized,
				"OBS asks for a password: it is shown in OBS under Tools → WebSocket Server "+
					"Settings → Show Connect Info").WithCode("obs_password")
		}
		d["authentication"] = authentication(c.opts.Password, a.Salt, a.Challenge)
	}
	if err := c.write(ctx, opIdentify, d); err != nil {
		return c.refusal(err)
	}
	if err := c.expect(ctx, opIdentified, nil); err != nil {
		return c.refusal(err)
	}
	return nil
}

// authentication returns the string that proves the password. The secret that is hashed with the
// challenge is base64 text, not bytes (protocol.md, "Creating an authentication string").
func authentication(password stage.Secret, salt, challenge string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	return hash(hash(password.Reveal()+salt) + challenge)
}

func (c *Client) expect(ctx context.Context, op int, into any) error {
	m, err := c.next(ctx)
	if err != nil {
		return err
	}
	if m.Op != op {
		return fmt.Errorf("%w: opcode %d came where %d was expected", errProtocol, m.Op, op)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(m.D, into)
}

func (c *Client) next(ctx context.Context) (m message, err error) {
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(text, &m)
}

// write does not stop when ctx ends, because an interrupted write would make the library close the
// connection, and then the stream could not be stopped.
func (c *Client) write(ctx context.Context, op int, d any) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, err := json.Marshal(map[string]any{"op": op, "d": d})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
	defer cancel()
	return c.conn.Write(ctx, websocket.MessageText, text)
}

func unreachable(addr string, cause error) error {
	return stage.Errorf(stage.ErrUnavailable,
		"OBS is not reachable at %s: start OBS, then Tools → WebSocket Server Settings → Enable "+
			"WebSocket server", addr).
		WithCode("obs_unreachable").WithCause(cause)
}

// reached reports whether a program accepted the connection: then the error is neither a failure to
// connect nor a timeout.
func reached(err error) bool {
	var exchange *url.Error
	var network *net.OpError
	return errors.As(err, &exchange) && exchange.Op != "parse" && !exchange.Timeout() &&
		!errors.Is(err, context.Canceled) &&
		(!errors.As(err, &network) || network.Op != "dial")
}

// notOBS is the error for another program on the port: a web server, or an obs-websocket from
// before OBS 28.
func notOBS(addr string, cause error) error {
	return stage.Errorf(stage.ErrUnavailable,
		"something answers at %s, but it is not the WebSocket server of OBS 28 or later: its "+
			"port is shown in OBS under Tools → WebSocket Server Settings", addr).
		WithCode("not_obs").WithCause(cause)
}

// refusal turns a close code into an error that says what a person can do.
func (c *Client) refusal(err error) error {
	switch websocket.CloseStatus(err) {
	case 4009:
		return words.Error(stage.ErrUnauthorized, "obs.wrongPassword", nil).
			WithCode("obs_password").WithCause(err)
	case 4010:
		return words.Error(stage.ErrUnavailable, "obs.unsupported", nil).
			WithCode("obs_too_old").WithCause(err)
	case 4011:
		return words.Error(stage.ErrDenied, "obs.kicked", nil).
			WithCode("obs_kicked").WithCause(err)
	case websocket.StatusGoingAway:
		return stage.Errorf(stage.ErrUnavailable, "OBS was closed").WithCode("obs_closed").
			WithCause(err)
	}
	var notJSON *json.SyntaxError
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errProtocol) ||
		errors.As(err, &notJSON) {
		return notOBS(c.opts.URL, err)
	}
	return unreachable(c.opts.URL, err)
}

// read delivers what OBS sends until the connection ends.
func (c *Client) read() {
	defer close(c.done)
	for {
		m, err := c.next(context.Background())
		if err != nil {
			c.fail(err)
			return
		}
		switch m.Op {
		case opRequestResponse:
			c.answer(m.D)
		case opEvent:
			c.tell(m.D)
		}
	}
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = c.refusal(err)
	}
	for _, w := range c.watchers {
		close(w.events)
	}
	c.watchers = nil
}

func (c *Client) answer(d json.RawMessage) {
	var r response
	if json.Unmarshal(d, &r) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if reply, waiting := c.pending[r.ID]; waiting {
		delete(c.pending, r.ID)
		reply <- r // does not block, since the channel has room for one response
	}
}

func (c *Client) tell(d json.RawMessage) {
	var e event
	if json.Unmarshal(d, &e) != nil {
		return
	}
	if c.turns.heard(e) {
		c.repeatClaim()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watchers {
		if e.Type == w.kind {
			select {
			case w.events <- e:
			default: // the buffer is full, because the watch has no reader any more
			}
		}
	}
}

// Close ends the connection and waits for the reader.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = stage.Errorf(stage.ErrUnavailable, "the connection to OBS was closed").
			WithCode("obs_closed")
	}
	c.mu.Unlock()
	err := c.conn.Close(websocket.StatusNormalClosure, "")
	<-c.done
	return err
}

// Done returns a channel that is closed when the connection has ended. After that, Err returns the
// cause.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection is open, and afterwards the reason why it ended.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Call sends a request and decodes the response into "into", which is a pointer or nil. While OBS
// is still loading, Call repeats the request.
func (c *Client) Call(ctx context.Context, request string, data, into any) error {
	return c.callWithin(ctx, c.opts.Timeout, request, data, into)
}

func (c *Client) callWithin(
	ctx context.Context, limit time.Duration, request string, data, into any,
) error {
	ready, cancel := context.WithTimeout(ctx, c.opts.Ready)
	defer cancel()
	for {
		if err := c.turns.wait(ctx, request); err != nil {
			return c.broken(request, err)
		}
		err := c.call(ctx, limit, request, data, into)
		if !IsStatus(err, statusNotReady) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond): // there is no event for "loaded"
		case <-ready.Done():
			return stage.Errorf(stage.ErrUnavailable,
				"OBS is still loading; try again when its window is there").
				WithCode("obs_not_ready").WithCause(err)
		}
	}
}

func (c *Client) call(
	ctx context.Context, limit time.Duration, request string, data, into any,
) error {
	id, reply := c.expectReply()
	defer c.forget(id)
	d := map[string]any{"requestType": request, "requestId": id}
	if data != nil {
		d["requestData"] = data
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.write(ctx, opRequest, d); err != nil {
		return c.broken(request, err)
	}
	select {
	case r := <-reply:
		return r.decode(request, into)
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return c.broken(request, ctx.Err())
	}
}

func (c *Client) expectReply() (string, chan response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	id, reply := strconv.Itoa(c.lastID), make(chan response, 1)
	c.pending[id] = reply
	return id, reply
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

func (c *Client) broken(request string, cause error) error {
	if err := c.Err(); err != nil {
		return err
	}
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	return words.Error(stage.ErrUnavailable, "obs.timeout", nil).
		WithCode("obs_silent").WithCause(fmt.Errorf("%s: %w", request, cause))
}

func (r response) decode(request string, into any) error {
	if !r.Status.Result {
		return &requestError{request, r.Status.Code, r.Status.Comment}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(r.Data, into); err != nil {
		return fmt.Errorf("the answer of OBS to %s: %w", request, err)
	}
	return nil
}
