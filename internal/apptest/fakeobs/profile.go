package fakeobs

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// state is what requests read and write. The lock of OBS guards it.
type state struct {
	profiles   []*profile
	current    *profile
	encoders   Encoders
	stream     stream
	outputs    map[Output]bool
	persistent map[string]any
	asked      int64    // the time in the last request that the script has processed
	kept       keptFile // file kept by the script
	movedTo    string   // the address to which a dock moved: the script opens it there
	scenes     scenes
	crashed    bool
	cause      string    // cause of the last crash
	switched   time.Time // when a profile was last activated by a switch
}

// A profile is a folder with basic.ini, service.json and a persistent_data.json.
type profile struct {
	name       string
	params     map[string]string // parameters that were set, by "Category/Name"
	video      map[string]float64
	service    Service
	persistent map[string]any

	encoderFile map[string]any // streamEncoder.json, which no request reads or writes
}

// Encoders are the encoders that ResetOutputs built when the profile was activated. Later changes
// of parameters do not affect them.
type Encoders struct {
	Mode     string // "Simple" or "Advanced"
	Video    string
	Audio    string // "aac" or "opus"
	Layers   string // Stream1/WHIPSimulcastTotalLayers
	Rebuilds int
}

func newState(opts Options) state {
	p := newProfile(opts, opts.Profile)
	maps.Copy(p.params, opts.Params)
	if opts.Account != "" {
		p.params["Auth/Type"] = opts.Account
	}
	if opts.Service.Type != "" {
		p.service = opts.Service.clone()
	}
	if opts.FPS != 0 {
		p.video["fpsNumerator"] = opts.FPS
	}
	s := state{
		profiles: []*profile{p}, current: p,
		outputs:    map[Output]bool{},
		persistent: map[string]any{},
		scenes:     newScenes(),
	}
	p.enforceOpus()
	s.encoders = p.encoders(opts)
	return s
}

// enforceOpus sets Opus for a WHIP service, as LoadService does. OBS calls LoadService only at
// startup and when it loads a profile.
func (p *profile) enforceOpus() {
	if p.service.Type == whipCustom {
		p.params["SimpleOutput/StreamAudioEncoder"] = "opus"
		p.params["AdvOut/AudioEncoder"] = "ffmpeg_opus"
	}
}

// newProfile returns a clean profile: the canvas of the screen, scaled down to an area of at most
// 1280x720, 30 fps, no chosen encoder.
func newProfile(opts Options, name string) *profile {
	w, h := float64(opts.Screen[0]), float64(opts.Screen[1])
	scale := 1.0
	for _, s := range []float64{1, 1.25, 1 / 0.75, 1.5, 1 / 0.6, 1.75, 2, 2.25, 2.5, 2.75, 3} {
		if scale = s; int(w/s)*int(h/s) <= 1280*720 {
			break
		}
	}
	return &profile{
		name: name, params: map[string]string{}, persistent: map[string]any{},
		service: Service{"rtmp_common", map[string]any{}},
		video: map[string]float64{
			"baseWidth": w, "baseHeight": h, "outputWidth": aligned(w/scale, 4),
			"outputHeight": aligned(h/scale, 2),
			"fpsNumerator": 30, "fpsDenominator": 1,
		},
	}
}

// aligned rounds down as libobs does: OBS 29.0.2 returns 852x480 after 853x481 was set.
func aligned(f float64, to int) float64 { return float64(int(f) / to * to) }

func (s Service) clone() Service {
	c := Service{s.Type, map[string]any{}}
	maps.Copy(c.Settings, s.Settings)
	return c
}

// defaults returns the default values of a profile's parameters, from the source of OBS and as seen
// in 29.0.2. A parameter that is not listed has no default.
func defaults(opts Options) map[string]string {
	all := map[string]string{
		"Output/Mode": "Simple", "Output/Reconnect": "true", "Output/RetryDelay": "2",
		"Output/MaxRetries": "25", "Output/DelayEnable": "false",
		"SimpleOutput/StreamEncoder": opts.Encoder, "SimpleOutput/StreamAudioEncoder": "aac",
		"SimpleOutput/VBitrate": opts.Version.behaviour().bitrate, "SimpleOutput/ABitrate": "160",
		"SimpleOutput/Preset": "veryfast", "SimpleOutput/NVENCPreset2": "p5",
		"SimpleOutput/UseAdvanced": "false",
		"AdvOut/Encoder":           "obs_x264", "AdvOut/AudioEncoder": "ffmpeg_aac",
		"AdvOut/ApplyServiceSettings": "true",
		"AdvOut/TrackIndex":           "1", "AdvOut/Track1Bitrate": "160",
		"AdvOut/Track2Bitrate": "160",
		"AdvOut/Track3Bitrate": "160",
		"AdvOut/Track4Bitrate": "160", "AdvOut/Track5Bitrate": "160", "AdvOut/Track6Bitrate": "160",
		"Stream1/IgnoreRecommended": "false", "Stream1/EnableMultitrackVideo": "false",
		"Audio/SampleRate": "48000", "Audio/ChannelSetup": "Stereo",
	}
	// earlier versions had no choice of audio encoder, and no multitrack video
	if opts.Version == OBS29 {
		for _, key := range []string{"SimpleOutput/StreamAudioEncoder", "AdvOut/AudioEncoder",
			"Stream1/EnableMultitrackVideo"} {
			delete(all, key)
		}
	}
	return all
}

func (p *profile) param(opts Options, key string) string {
	if v, set := p.params[key]; set {
		return v
	}
	return defaults(opts)[key]
}

func (p *profile) encoders(opts Options) Encoders {
	e := Encoders{
		Mode: p.param(opts, "Output/Mode"), Layers: p.param(opts,
			"Stream1/WHIPSimulcastTotalLayers"), Audio: "aac",
	}
	e.Video = p.param(opts, "SimpleOutput/StreamEncoder")
	audio := p.param(opts, "SimpleOutput/StreamAudioEncoder")
	if e.Mode == "Advanced" {
		e.Video, audio = p.param(opts, "AdvOut/Encoder"), p.param(opts, "AdvOut/AudioEncoder")
	}
	if strings.Contains(audio, "opus") {
		e.Audio = "opus"
	}
	return e
}

// activate loads a profile: LoadService, then ResetOutputs, which rebuilds the encoders unless an
// output is active. The caller holds the lock.
func (o *OBS) activate(p *profile) {
	o.current = p
	p.enforceOpus()
	if o.busy() {
		return
	}
	rebuilds := o.encoders.Rebuilds + 1
	o.encoders = p.encoders(o.opts)
	o.encoders.Rebuilds = rebuilds
	o.touch()
}

const whipCustom = "whip_custom"

func profileHandlers() map[string]handler {
	return map[string]handler{
		"GetProfileList":           (*OBS).getProfileList,
		"CreateProfile":            (*OBS).createProfile,
		"SetCurrentProfile":        (*OBS).setCurrentProfile,
		"RemoveProfile":            (*OBS).removeProfile,
		"GetProfileParameter":      (*OBS).getProfileParameter,
		"SetProfileParameter":      (*OBS).setProfileParameter,
		"GetVideoSettings":         (*OBS).getVideoSettings,
		"SetVideoSettings":         (*OBS).setVideoSettings,
		"GetStreamServiceSettings": (*OBS).getStreamServiceSettings,
		"SetStreamServiceSettings": (*OBS).setStreamServiceSettings,
	}
}

func (o *OBS) profileNames() []string {
	names := []string{}
	for _, p := range o.profiles {
		names = append(names, p.name)
	}
	return names
}

func (o *OBS) profile(name string) *profile {
	for _, p := range o.profiles {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (o *OBS) getProfileList(*call) (any, error) {
	return map[string]any{"currentProfileName": o.current.name, "profiles": o.profileNames()}, nil
}

// createProfile creates the profile before the response in obs-websocket up to 5.5.3, and after the
// response since 5.5.4.
func (o *OBS) createProfile(c *call) (any, error) {
	name, err := c.text("profileName")
	if err != nil {
		return nil, err
	}
	if o.profile(name) != nil {
		return nil, fail(601, "")
	}
	create := func() {
		if o.profile(name) == nil {
			made := newProfile(o.opts, name)
			o.profiles = append(o.profiles, made)
			slices.SortFunc(o.profiles, func(a, b *profile) int {
				return strings.Compare(a.name,
					b.name)
			})
			o.switchProfile(made, true)
		}
	}
	if o.opts.Version.behaviour().asyncCreate {
		c.later(create)
	} else {
		create()
	}
	return nil, nil
}

// switchProfile sends the events in the measured order.
func (o *OBS) switchProfile(to *profile, listChanged bool) {
	o.emit(eventConfig, "CurrentProfileChanging", map[string]any{"profileName": o.current.name})
	o.switched = time.Now()
	o.activate(to)
	if listChanged {
		o.emit(eventConfig, "ProfileListChanged", map[string]any{"profiles": o.profileNames()})
	}
	o.emit(eventConfig, "CurrentProfileChanged", map[string]any{"profileName": to.name})
}

func (o *OBS) setCurrentProfile(c *call) (any, error) {
	name, err := c.text("profileName")
	if err != nil {
		return nil, err
	}
	p := o.profile(name)
	if p == nil {
		return nil, fail(600, "")
	}
	if p != o.current { // no effect if it is current
		o.switchProfile(p, false)
	}
	return nil, nil
}

// removeProfile removes a profile. If it is the current one, OBS 29.0.2 first selects another one
// (measured), and OBS 32.2.2 breaks. Here every version after 29 crashes, so that tests fail.
func (o *OBS) removeProfile(c *call) (any, error) {
	name, err := c.text("profileName")
	if err != nil {
		return nil, err
	}
	p := o.profile(name)
	switch {
	case p == nil:
		return nil, fail(600, "")
	case len(o.profiles) < 2:
		return nil, fail(603, "")
	case p == o.current && o.opts.Version == OBS29:
		o.removeCurrent()
		return nil, nil
	case p == o.current:
		o.collapse(c, "the current profile was removed")
		return nil, nil
	}
	o.profiles = slices.DeleteFunc(o.profiles, func(q *profile) bool { return q == p })
	o.emit(eventConfig, "ProfileListChanged", map[string]any{"profiles": o.profileNames()})
	return nil, nil
}

// collapse makes OBS crash after the response. A real OBS would not send the response. The caller
// holds the lock.
func (o *OBS) collapse(c *call, cause string) {
	o.crashed, o.cause = true, cause
	c.later(func() { go o.Crash() })
}

// disturbed reports whether a request about the stream would crash OBS: during a switch of
// profiles, and for some time after.
func (o *OBS) disturbed(kind string) bool {
	return (kind == "GetStreamServiceSettings" || kind == "GetStreamStatus") &&
		o.opts.Version.behaviour().fragile && time.Since(o.switched) < o.opts.Settle
}

func (o *OBS) removeCurrent() {
	gone := o.current
	o.profiles = slices.DeleteFunc(o.profiles, func(q *profile) bool { return q == gone })
	o.switchProfile(o.profiles[0], true)
}

func (o *OBS) getProfileParameter(c *call) (any, error) {
	names, err := c.texts("parameterCategory", "parameterName")
	if err != nil {
		return nil, err
	}
	key := names[0] + "/" + names[1]
	answer := map[string]any{"parameterValue": nil, "defaultParameterValue": nil}
	if d, there := defaults(o.opts)[key]; there {
		answer["parameterValue"], answer["defaultParameterValue"] = d, d
	}
	if v, there := o.current.params[key]; there {
		answer["parameterValue"] = v
	}
	return answer, nil
}

// setProfileParameter writes only basic.ini. It does not change encoders that were built before. A
// null removes the value.
func (o *OBS) setProfileParameter(c *call) (any, error) {
	names, err := c.texts("parameterCategory", "parameterName")
	if err != nil {
		return nil, err
	}
	key := names[0] + "/" + names[1]
	switch v := c.data["parameterValue"].(type) {
	case string:
		o.current.params[key] = v
		if key == "Stagedoor/Ask" {
			o.lookAtAsk()
		}
	case nil:
		if _, set := o.current.params[key]; !set {
			return nil, fail(600, "There are no existing instances of that profile parameter.")
		}
		delete(o.current.params, key)
	default:
		return nil, fail(401, "The field `parameterValue` must be a string.")
	}
	return nil, nil
}

func (o *OBS) getVideoSettings(*call) (any, error) { return maps.Clone(o.current.video), nil }

// setVideoSettings requires both fields of a pair, such as a width and its height.
func (o *OBS) setVideoSettings(c *call) (any, error) {
	if o.busy() {
		return nil, fail(500, "Video settings cannot be changed while an output is active.")
	}
	next := maps.Clone(o.current.video)
	changed := false
	for _, pair := range []struct {
		a, b string
		low  float64
		high float64
	}{{"fpsNumerator", "fpsDenominator", 1, 1 << 31}, {"baseWidth", "baseHeight", 8, 4096},
		{"outputWidth", "outputHeight", 8, 4096}} {
		if c.data[pair.a] == nil || c.data[pair.b] == nil {
			continue
		}
		for _, key := range []string{pair.a, pair.b} {
			f, err := c.number(key, pair.low, pair.high)
			if err != nil {
				return nil, err
			}
			next[key], changed = f, true
		}
	}
	if !changed {
		return nil, fail(300, "You must specify at least one video-changing pair.")
	}
	next["outputWidth"], next["outputHeight"] = aligned(next["outputWidth"], 4), aligned(
		next["outputHeight"], 2)
	o.current.video = next
	return nil, nil
}

func (o *OBS) getStreamServiceSettings(*call) (any, error) {
	return map[string]any{"streamServiceType": o.current.service.Type,
		"streamServiceSettings": maps.Clone(o.current.service.Settings)}, nil
}

// setStreamServiceSettings has its checks in the order of obs-websocket. It merges settings if the
// type stays the same, and replaces them if it changes.
func (o *OBS) setStreamServiceSettings(c *call) (any, error) {
	if o.stream.active {
		return nil, fail(500, "You cannot change stream service settings while streaming.")
	}
	kind, err := c.text("streamServiceType")
	if err != nil {
		return nil, err
	}
	settings, err := c.object("streamServiceSettings")
	if err != nil {
		return nil, err
	}
	if !o.hasService(kind) {
		return nil, fail(
			700, "Failed to create the stream service with the requested streamServiceType. It "+
				"may be an invalid type.")
	}
	next := Service{kind, map[string]any{}}
	if kind == o.current.service.Type {
		next = o.current.service.clone()
	}
	maps.Copy(next.Settings, settings)
	o.current.service = next // OBS sends no event for this
	return nil, nil
}

func (o *OBS) hasService(kind string) bool {
	if kind == whipCustom {
		return o.opts.Version.behaviour().whip && !o.opts.NoWHIP
	}
	return kind == "rtmp_common" || kind == "rtmp_custom"
}
