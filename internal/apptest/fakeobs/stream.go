package fakeobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A WHIPOutput is the network behind StartStream: it posts an offer to the endpoint with the
// bearer, and returns after the 201. The parameter `opus` is false if the encoder in use is AAC.
// Then OBS sends AAC frames labelled as Opus, and so must an implementation that sends media. After
// an error, OBS reports STOPPED without a reason. ctx ends when the stream is stopped.
type WHIPOutput func(ctx context.Context, endpoint, bearer string, opus bool) (Session, error)

// A Session is a WHIP session that the endpoint has accepted with 201.
//
// If a session has a method Bytes() int64, it returns the outputBytes of GetStreamStatus. Otherwise
// these are computed from the bitrates in OBS's settings. If it has a method Err() error that
// returns ErrICE after the end, ICE has failed, and OBS does not reconnect.
type Session interface {
	Done() <-chan struct{} // closed when the far end has closed the peer connection
	Close() error          // hangs up: DELETE on the session URL
}

// ErrICE is the error of a session whose ICE or DTLS has failed. OBS does not reconnect after it.
var ErrICE = errors.New("ICE or DTLS failed")

const statePrefix = "OBS_WEBSOCKET_OUTPUT_"

// An Output is an output other than the stream.
type Output string

// The outputs that keep OBS from rebuilding its encoders.
const (
	Recording    Output = "Record"
	ReplayBuffer Output = "ReplayBuffer"
	VirtualCam   Output = "Virtualcam"
)

// stream is the state of OBS's streaming output.
type stream struct {
	state string // the output's state in its last event
	// obs_frontend_streaming_active: from the first 201 until the stop, including reconnects
	active   bool
	attempts int // calls to the output
	// number of the latest StartStream; an earlier one that is still connecting never completes
	latest  int
	ctx     context.Context
	cancel  context.CancelFunc
	session Session
	since   time.Time // time of the last 201; zero while reconnecting
	silent  silence
}

// A silence is the way in which a start fails without an error message.
type silence int

// The ways in which the next StartStream can fail.
const (
	NotSilent     silence = iota
	BeforeStart           // OBS fails before it calls obs_output_start: no event at all
	AfterStarting         // obs_output_start fails: STARTING, and never STOPPED
)

// FailNextStart makes the next StartStream fail without an error message.
func (o *OBS) FailNextStart(s silence) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stream.silent = s
}

// SetOutput starts or stops the recording, the replay buffer or the virtual camera, as a person
// does.
func (o *OBS) SetOutput(out Output, on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outputs[out] = on
	o.emit(eventOutputs, string(out)+"StateChanged", map[string]any{
		"outputActive": on, "outputState": statePrefix + map[bool]string{true: "STARTED",
			false: "STOPPED"}[on],
	})
}

// StopByHand presses "Stop Streaming" in OBS.
func (o *OBS) StopByHand() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stop()
}

// StartByHand presses "Start Streaming" in OBS.
func (o *OBS) StartByHand() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start()
}

func streamHandlers() map[string]handler {
	return map[string]handler{
		"GetStreamStatus":       (*OBS).getStreamStatus,
		"StartStream":           (*OBS).startStream,
		"StopStream":            (*OBS).stopStream,
		"ToggleStream":          (*OBS).toggleStream,
		"GetRecordStatus":       (*OBS).getRecordStatus,
		"GetReplayBufferStatus": (*OBS).getReplayBufferStatus,
		"GetVirtualCamStatus":   (*OBS).getVirtualCamStatus,
	}
}

func (o *OBS) busy() bool {
	return o.stream.active || o.stream.ctx != nil || o.outputs[Recording] ||
		o.outputs[ReplayBuffer] || o.outputs[VirtualCam]
}

func (o *OBS) startStream(c *call) (any, error) {
	if o.stream.active {
		return nil, fail(500, "")
	}
	c.later(o.start)
	return nil, nil
}

func (o *OBS) stopStream(c *call) (any, error) {
	if !o.stream.active { // also true while OBS connects
		return nil, fail(501, "")
	}
	c.later(o.stop)
	return nil, nil
}

func (o *OBS) toggleStream(c *call) (any, error) {
	if o.stream.active {
		c.later(o.stop)
	} else {
		c.later(o.start)
	}
	return map[string]bool{"outputActive": !o.stream.active}, nil
}

// start runs on OBS's UI thread, after the response to StartStream. The caller holds the lock.
func (o *OBS) start() {
	silent := o.stream.silent
	o.stream.silent = NotSilent
	if o.stream.active || silent == BeforeStart || o.server == nil || !o.linkAccount() {
		return
	}
	o.streamEvent("STARTING", false)
	if silent == AfterStarting || o.cannotStart() {
		return
	}
	if o.stream.ctx == nil {
		o.stream.ctx, o.stream.cancel = context.WithCancel(context.Background())
	}
	o.stream.latest++
	ctx, n := o.stream.ctx, o.stream.latest
	o.wg.Go(func() { o.broadcast(ctx, n) })
}

// linkAccount writes the key of the linked account into any service, as
// OAuthStreamKey::OnStreamConfig does. It returns false for YouTube, for which OBS opens a dialog
// and starts no stream.
func (o *OBS) linkAccount() bool {
	account := o.current.params["Auth/Type"]
	if account == "" {
		return true
	}
	o.current.service = o.current.service.clone()
	o.current.service.Settings["key"] = "live_key_of_" + strings.ToLower(strings.Fields(account)[0])
	return !strings.HasPrefix(account, "YouTube")
}

// cannotStart reports whether obs_output_start fails: without a server, or with Opus above 256
// kb/s.
func (o *OBS) cannotStart() bool {
	if o.current.service.Type != whipCustom {
		return false
	}
	rate, _ := strconv.Atoi(o.audioBitrate())
	return o.setting("server") == "" || (o.encoders.Audio == "opus" && rate > 256)
}

func (o *OBS) audioBitrate() string {
	if o.encoders.Mode == "Advanced" {
		return o.current.param(o.opts, "AdvOut/Track1Bitrate")
	}
	return o.current.param(o.opts, "SimpleOutput/ABitrate")
}

func (o *OBS) setting(name string) string {
	s, _ := o.current.service.Settings[name].(string)
	return s
}

// stop emits STOPPING, and ends the context of `broadcast`, which then ends the session. The caller
// holds the lock.
func (o *OBS) stop() {
	if !o.stream.active {
		return
	}
	o.streamEvent("STOPPING", false)
	o.stream.cancel()
}

// stopOutputs ends all outputs when OBS ends. The caller holds the lock.
func (o *OBS) stopOutputs() {
	clear(o.outputs)
	if o.stream.cancel != nil {
		o.stream.cancel()
	}
}

// broadcast runs one StartStream: the first POST, the media, and the reconnect loop.
func (o *OBS) broadcast(ctx context.Context, n int) {
	session, err := o.dial(ctx)
	if err != nil {
		o.stopped(n)
		return
	}
	event := "STARTED"
	for {
		if !o.started(n, session, event) {
			<-ctx.Done()
			_ = session.Close()
			return
		}
		select {
		case <-session.Done():
		case <-ctx.Done():
			o.stopped(n)
			_ = session.Close() // measured: STOPPED comes before the DELETE
			return
		}
		_ = session.Close()
		if session = o.reconnect(ctx, session); session == nil {
			o.stopped(n)
			return
		}
		event = "RECONNECTED"
	}
}

// dial reads the service each time, as obs_service_get_connect_info does.
func (o *OBS) dial(ctx context.Context) (Session, error) {
	o.mu.Lock()
	o.stream.attempts++
	service, output := o.current.service.Type, o.opts.Output
	endpoint, bearer, opus := o.setting("server"), o.setting(
		"bearer_token"), o.encoders.Audio == "opus"
	o.touch()
	o.mu.Unlock()
	if service == "rtmp_custom" && strings.HasPrefix(endpoint, "rtmp://") &&
		!strings.HasPrefix(endpoint, "rtmp://127.0.0.1") {
		// The fake assumes that a service other than WHIP accepts the stream.
		return newLine(), nil
	}
	if output == nil || service != whipCustom {
		return nil, errors.New("connection refused")
	}
	return output(ctx, endpoint, bearer, opus)
}

// started is called at the output's "start" signal, right after the 201 and before ICE connects. It
// returns false if a second StartStream has replaced this one.
func (o *OBS) started(n int, session Session, event string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n != o.stream.latest {
		return false
	}
	o.stream.active, o.stream.session, o.stream.since = true, session, time.Now()
	o.streamEvent(event, true)
	return true
}

func (o *OBS) stopped(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n != o.stream.latest {
		return
	}
	o.stream.cancel()
	o.stream.ctx, o.stream.session, o.stream.active, o.stream.since = nil, nil, false, time.Time{}
	o.streamEvent("STOPPED", false)
}

// reconnect retries with growing pauses. It gives up after MaxRetries, or when the stream is
// stopped.
func (o *OBS) reconnect(ctx context.Context, lost Session) Session {
	delay, tries := o.retries(lost)
	for range tries {
		o.mu.Lock()
		o.stream.session, o.stream.since = nil, time.Time{}
		o.streamEvent("RECONNECTING", false)
		o.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil
		}
		if session, err := o.dial(ctx); err == nil {
			return session
		}
		delay = delay * 3 / 2
	}
	return nil
}

func (o *OBS) retries(lost Session) (delay time.Duration, tries int) {
	if s, ok := lost.(interface{ Err() error }); ok && errors.Is(s.Err(), ErrICE) {
		return 0, 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current.param(o.opts, "Output/Reconnect") != "true" {
		return 0, 0
	}
	seconds, _ := strconv.Atoi(o.current.param(o.opts, "Output/RetryDelay"))
	tries, _ = strconv.Atoi(o.current.param(o.opts, "Output/MaxRetries"))
	return time.Duration(seconds) * o.opts.Second, tries
}

// streamEvent emits StreamStateChanged. While OBS reconnects, the outputActive of this event is
// false, although that of GetStreamStatus is true. The caller holds the lock.
func (o *OBS) streamEvent(state string, active bool) {
	o.stream.state = statePrefix + state
	o.emit(eventOutputs, "StreamStateChanged", map[string]any{
		"outputActive": active, "outputState": o.stream.state,
	})
}

func (o *OBS) getStreamStatus(*call) (any, error) {
	elapsed := o.elapsed()
	return map[string]any{
		"outputActive": o.stream.active, "outputReconnecting": o.stream.active &&
			o.stream.since.IsZero(),
		"outputTimecode": timecode(elapsed), "outputDuration": elapsed.Milliseconds(),
		"outputCongestion": 0.0, "outputSkippedFrames": 0, // always 0 with WHIP
		"outputBytes": o.bytes(), "outputTotalFrames": o.frames(),
	}, nil
}

func (o *OBS) elapsed() time.Duration {
	if o.stream.since.IsZero() {
		return 0
	}
	return time.Since(o.stream.since)
}

func (o *OBS) frames() int {
	return int(
		o.elapsed().Seconds() * o.current.video["fpsNumerator"] / o.current.video["fpsDenominator"])
}

// bytes returns the bytes since the last reconnect.
func (o *OBS) bytes() int64 {
	if s, ok := o.stream.session.(interface{ Bytes() int64 }); ok {
		return s.Bytes()
	}
	video, _ := strconv.Atoi(o.current.param(o.opts, "SimpleOutput/VBitrate"))
	audio, _ := strconv.Atoi(o.audioBitrate())
	return int64(o.elapsed().Seconds() * float64(video+audio) * 1000 / 8)
}

func timecode(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d.%03d", int(d.Hours()), int(d.Minutes())%60,
		int(d.Seconds())%60, d.Milliseconds()%1000)
}

func (o *OBS) getRecordStatus(*call) (any, error) {
	return map[string]any{"outputActive": o.outputs[Recording], "outputPaused": false,
		"outputTimecode": timecode(0), "outputDuration": 0, "outputBytes": 0}, nil
}

func (o *OBS) getReplayBufferStatus(*call) (any, error) {
	if o.opts.NoReplayBuffer {
		return nil, fail(604, "Replay buffer is not available.")
	}
	return map[string]any{"outputActive": o.outputs[ReplayBuffer]}, nil
}

func (o *OBS) getVirtualCamStatus(*call) (any, error) {
	if o.opts.NoVirtualCam {
		return nil, fail(604, "VirtualCam is not available.")
	}
	return map[string]any{"outputActive": o.outputs[VirtualCam]}, nil
}
