package obs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const whipCustom = "whip_custom"

// codeNotKept means that OBS did not keep the settings that were written to it.
const codeNotKept = "obs_not_kept"

// A Pass lets OBS publish: an endpoint and a participant token for it.
type Pass struct {
	Participant stage.ParticipantID
	Endpoint    string
	Bearer      stage.Secret
	ExpiresAt   time.Time
	Stage       stage.ARN

	issued time.Time // when this client received it
}

// An Issue requests a fresh pass.
type Issue func(ctx context.Context) (Pass, error)

// A Target is the stage for which OBS is set up.
type Target struct {
	Limits stage.Limits
	Issue  Issue // requests a token; not called if SetUp finds nothing to do
	// Encoder is the ID of an encoder that the script in OBS can configure, in Advanced mode.
	// "auto" is the best hardware encoder that OBS has, "x264" the encoder of Simple mode. Empty
	// keeps the encoder.
	Encoder string
	// Force rebuilds the encoders even if all settings are right, because no request returns which
	// encoders OBS really runs.
	Force bool
}

// A Step is a step of a set-up, reported as progress.
type Step string

// The steps, in their order.
const (
	StepCheck    Step = "check"
	StepProfile  Step = "profile"
	StepSettings Step = "settings"
	StepService  Step = "service"
	StepRebuild  Step = "rebuild"
	StepVerify   Step = "verify"
)

// A Report is the result of SetUp.
type Report struct {
	Changed bool `json:"changed"`
	// the profile that Back selects; empty if there is none
	Previous string    `json:"previous"`
	Findings []Finding `json:"findings"`
}

// SetUp prepares OBS for a stage, in a profile named "Stagedoor". It writes the settings and the
// service. Then it selects another profile and this one again, because OBS builds its encoders only
// when it selects a profile. After a failure SetUp restores everything. A second run changes
// nothing.
func SetUp(ctx context.Context, c *Client, target Target, progress func(Step)) (Report, error) {
	progress(StepCheck)
	// take the turn before the first reading, because the set-up of another client would change
	// what is read
	turn, err := c.takeTurn(ctx)
	if err != nil {
		return Report{}, err
	}
	defer turn.end(context.WithoutCancel(ctx))
	before, err := Read(ctx, c)
	if err != nil {
		return Report{}, err
	}
	report := Report{Previous: before.Profile, Findings: Judge(before, target.Limits)}
	if before.Profile == Profile {
		report.Previous = previousProfile(ctx, c, before.Profiles)
	}
	if Ready(report.Findings) && !target.Force && hasEncoder(before, target.Encoder) {
		return report, nil
	}
	if err := inTheWay(before, report.Findings); err != nil {
		return report, err
	}
	s := &setUp{
		c: c, target: target, before: before, progress: progress, turn: turn,
		name: time.Now().UnixMilli(),
	}
	report.Findings, err = s.run(ctx)
	if err != nil {
		return report, errors.Join(s.explain(err), s.undo(context.WithoutCancel(ctx)))
	}
	report.Changed = true
	return report, nil
}

// inTheWay returns an error that says what the person must do first. A linked account of
// Stagedoor's profile can be read only after that profile is selected.
func inTheWay(r Reading, findings []Finding) error {
	if busy := judgeBusy(r); len(busy) > 0 {
		return notReady("obs_busy", busy[0])
	}
	for _, f := range findings {
		if f.Blocks {
			return notReady("obs_"+f.ID, f)
		}
	}
	return nil
}

func notReady(code string, f Finding) error {
	return stage.Errorf(stage.ErrConflict, "%s", f.Text).WithCode(code)
}

// A setUp is one run of SetUp.
type setUp struct {
	c        *Client
	target   Target
	before   Reading
	progress func(Step)
	turn     turn
	name     int64 // identifies this set-up to the script
	created  bool
	wrote    bool // the script has written the encoder's file
}

func (s *setUp) run(ctx context.Context) ([]Finding, error) {
	for _, step := range []struct {
		name Step
		do   func(context.Context) error
	}{{StepProfile, s.enter}, {StepSettings, s.settle}, {StepService, s.serve},
		{StepRebuild, s.bounce}} {
		s.progress(step.name)
		if err := s.turn.renew(ctx); err != nil {
			return nil, err
		}
		if err := step.do(ctx); err != nil {
			return nil, err
		}
	}
	s.progress(StepVerify)
	now, err := Read(ctx, s.c)
	if err != nil {
		return nil, err
	}
	findings := Judge(now, s.target.Limits)
	for _, f := range findings {
		if f.Level == Fix || f.Blocks {
			return findings, words.Error(stage.ErrConflict, "setup.notKept",
				words.Values{"what": f.Text}).WithCode(codeNotKept)
		}
	}
	if !hasEncoder(now, s.target.Encoder) || s.advanced() && now.Encoder == nil {
		return findings, noScript()
	}
	return findings, nil
}

// enter selects Stagedoor's profile. A new profile inherits the canvas, the frame rate and the
// sound format of the previous one. Scenes are laid out for that canvas, and OBS asks for a restart
// when the sound format changes.
func (s *setUp) enter(ctx context.Context) error {
	if s.before.Profile == Profile {
		return nil
	}
	if err := remember(ctx, s.c, s.before.Profile); err != nil {
		return err
	}
	if slices.Contains(s.before.Profiles, Profile) {
		return changeProfile(ctx, s.c, "SetCurrentProfile", Profile)
	}
	s.created = true
	if err := changeProfile(ctx, s.c, "CreateProfile", Profile); err != nil {
		return err
	}
	return s.inherit(ctx)
}

func (s *setUp) inherit(ctx context.Context) error {
	now, err := readParams(ctx, s.c)
	if err != nil {
		return err
	}
	wanted := map[string]string{"Output/Mode": "Simple"}
	for _, name := range []string{"Audio/SampleRate", "Audio/ChannelSetup"} {
		wanted[name] = s.before.Params[name]
	}
	// Keep a bitrate that is lower than advised, because the uplink is probably slow.
	if kbits := whole(s.before.Params["SimpleOutput/VBitrate"],
		0); s.before.Params["Output/Mode"] != "Advanced" &&
		kbits >= 300 && kbits < whole(now["SimpleOutput/VBitrate"], 6000) {
		wanted["SimpleOutput/VBitrate"] = strconv.Itoa(kbits)
	}
	if err := setParams(ctx, s.c, now, wanted); err != nil {
		return err
	}
	return setVideo(ctx, s.c, s.before.Video)
}

// settle applies the changes of findings until no finding needs one, but at most three times. One
// change may require another: a new frame rate changes the keyframe interval in frames.
func (s *setUp) settle(ctx context.Context) error {
	if err := s.chooseEncoder(ctx); err != nil {
		return err
	}
	for range 3 {
		r, err := Read(ctx, s.c)
		if err != nil {
			return err
		}
		change := changes(Judge(r, s.target.Limits))
		if len(change.Params)+len(change.Video) == 0 && change.Encoder == nil {
			return nil
		}
		if change.Encoder != nil {
			if err := s.c.writeEncoder(ctx, *change.Encoder, s.name); err != nil {
				return err
			}
			s.wrote = true
		}
		if err := setParams(ctx, s.c, r.Params, change.Params); err != nil {
			return err
		}
		if err := setVideo(ctx, s.c, r.Video.with(change.Video)); err != nil {
			return err
		}
	}
	return nil
}

// Values of Target.Encoder that are not IDs.
const (
	encoderAuto   = "auto"
	encoderSimple = "x264"
)

// advanced reports whether the target wants an encoder of Advanced mode.
func (s *setUp) advanced() bool {
	return s.target.Encoder != "" && s.target.Encoder != encoderSimple
}

func hasEncoder(r Reading, wanted string) bool {
	advanced := r.Params["Output/Mode"] == "Advanced"
	switch wanted {
	case "":
		return true
	case encoderSimple:
		return r.Profile == Profile && !advanced
	}
	e, _ := encoders.Find(r.Params["AdvOut/Encoder"])
	return r.Profile == Profile && advanced && (e.ID == wanted ||
		wanted == encoderAuto && e.Hardware)
}

// chooseEncoder selects the mode and the encoder of the target. In Advanced mode, the script writes
// the encoder's file later, if Judge finds it unfit.
func (s *setUp) chooseEncoder(ctx context.Context) error {
	if s.target.Encoder == "" {
		return nil
	}
	wanted := map[string]string{"Output/Mode": "Simple", "SimpleOutput/StreamEncoder": "x264"}
	if s.advanced() {
		a, err := s.c.ask(ctx, map[string]any{"do": "read"})
		if err != nil {
			return err
		}
		if a.At == 0 {
			return noScript()
		}
		id, err := pickEncoder(s.target.Encoder, strings.Fields(a.Encoders))
		if err != nil {
			return err
		}
		wanted = map[string]string{"Output/Mode": "Advanced", "AdvOut/Encoder": id}
	}
	now, err := readParams(ctx, s.c)
	if err != nil {
		return err
	}
	return setParams(ctx, s.c, now, wanted)
}

func pickEncoder(wanted string, there []string) (string, error) {
	if wanted == encoderAuto {
		if best, found := encoders.BestHardware(there); found {
			return best.ID, nil
		}
	} else if slices.Contains(there, wanted) {
		return wanted, nil
	}
	return "", stage.Errorf(stage.ErrInvalid,
		"OBS has no such encoder on this computer; it has: %s",
		strings.Join(there, ", ")).WithCode("obs_no_encoder")
}

func changes(findings []Finding) Change {
	all := Change{Params: map[string]string{}, Video: map[string]int{}}
	for _, f := range findings {
		maps.Copy(all.Params, f.Change.Params)
		maps.Copy(all.Video, f.Change.Video)
		all.Encoder = cmp.Or(all.Encoder, f.Change.Encoder)
	}
	return all
}

// serve writes the endpoint and the token into OBS.
func (s *setUp) serve(ctx context.Context) error {
	now, err := readService(ctx, s.c)
	if err != nil {
		return err
	}
	pass, err := s.target.Issue(ctx)
	if err != nil {
		return err
	}
	return giveService(ctx, s.c, now, whipService(pass))
}

// whipService returns the service as OBS's own dialog saves it. Without the name, that dialog would
// show the first common service instead of WHIP.
func whipService(p Pass) Service {
	return Service{whipCustom,
		map[string]any{"service": "WHIP", "server": p.Endpoint, "use_auth": false, "bwtest": false},
		map[string]stage.Secret{"bearer_token": p.Bearer},
	}
}

// setService sets the service, unless OBS already has it.
func setService(ctx context.Context, c *Client, wanted Service) error {
	now, err := readService(ctx, c)
	if err != nil {
		return err
	}
	return giveService(ctx, c, now, wanted)
}

// giveService sets the service, unless OBS already has it. Then it reads the service back, because
// a linked account may have changed it.
func giveService(ctx context.Context, c *Client, now, wanted Service) error {
	if now.same(wanted) {
		return nil
	}
	if err := c.Call(ctx, "SetStreamServiceSettings", wanted.request(), nil); err != nil {
		return err
	}
	now, err := readService(ctx, c)
	if err == nil && !now.same(wanted) {
		err = words.Error(stage.ErrConflict, "live.notKept", nil).WithCode(codeNotKept)
	}
	return err
}

// bounce selects another profile and then Stagedoor's again, so that OBS rebuilds its outputs. If
// there is no other profile, bounce creates one and removes it afterwards. It never removes the
// current profile, which would break OBS (Agash/ObsWebSocket#42).
func (s *setUp) bounce(ctx context.Context) error {
	notOurs := func(name string) bool { return name != Profile }
	other := first(append([]string{s.before.Profile}, s.before.Profiles...), notOurs)
	if other != "" {
		if err := changeProfile(ctx, s.c, "SetCurrentProfile", other); err != nil {
			return err
		}
		return changeProfile(ctx, s.c, "SetCurrentProfile", Profile)
	}
	helper := Profile + " (bounce)"
	if err := changeProfile(ctx, s.c, "CreateProfile", helper); err != nil {
		return err
	}
	if err := changeProfile(ctx, s.c, "SetCurrentProfile", Profile); err != nil {
		return err
	}
	return s.c.Call(ctx, "RemoveProfile", map[string]any{"profileName": helper}, nil)
}

func first(names []string, ok func(string) bool) string {
	if i := slices.IndexFunc(names, ok); i >= 0 {
		return names[i]
	}
	return ""
}

// changeProfile creates or selects a profile that is not the current one. It waits for the event,
// because since obs-websocket 5.5.4, CreateProfile answers before the profile exists
// (obs-websocket#1283).
func changeProfile(ctx context.Context, c *Client, request, name string) error {
	ctx, cancel := context.WithTimeout(ctx, switchLimit)
	defer cancel()
	changed := c.Watch("CurrentProfileChanged")
	defer changed.Stop()
	if err := c.callWithin(ctx, switchLimit, request, map[string]any{"profileName": name},
		nil); err != nil {
		return err
	}
	for {
		var e struct {
			Name string `json:"profileName"`
		}
		switch err := changed.Next(ctx, &e); {
		case err == nil && e.Name == name:
			return nil
		case c.Err() != nil:
			return c.Err()
		case err != nil:
			return words.Error(stage.ErrUnavailable, "setup.profile",
				words.Values{"profile": name}).WithCode("obs_silent").WithCause(err)
		}
	}
}

func setParams(ctx context.Context, c *Client, now, wanted map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if now[name] == wanted[name] {
			continue
		}
		if err := setParam(ctx, c, name, wanted[name]); err != nil {
			return err
		}
	}
	return nil
}

func setParam(ctx context.Context, c *Client, name string, value any) error {
	category, key, _ := strings.Cut(name, "/")
	return c.Call(ctx, "SetProfileParameter", map[string]any{"parameterCategory": category,
		"parameterName": key, "parameterValue": value}, nil)
}

func (v Video) with(change map[string]int) Video {
	for name, field := range map[string]*int{
		"outputWidth": &v.OutputWidth, "outputHeight": &v.OutputHeight,
		"fpsNumerator": &v.FPSNumerator, "fpsDenominator": &v.FPSDenominator,
	} {
		if n, given := change[name]; given {
			*field = n
		}
	}
	return v
}

func setVideo(ctx context.Context, c *Client, wanted Video) error {
	var now Video
	if err := c.Call(ctx, "GetVideoSettings", nil, &now); err != nil || now == wanted {
		return err
	}
	return c.Call(ctx, "SetVideoSettings", wanted, nil)
}

// explain turns OBS's response into an error that says what a person can do.
func (s *setUp) explain(err error) error {
	switch {
	case IsStatus(err, statusNotCreated):
		return notReady("obs_no_whip", judgeWHIP(Reading{Version: s.before.Version, NoWHIP: true}))
	case IsStatus(err, statusOutputRunning):
		return words.Error(stage.ErrConflict, "setup.running", nil).
			WithCode("obs_busy").WithCause(err)
	}
	return err
}
