package obs

import (
	"context"
	"maps"
	"reflect"
	"regexp"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Reading contains all settings of OBS that the rules judge.
type Reading struct {
	Version  string   `json:"version"`
	Platform string   `json:"platform"`
	Service  Service  `json:"service"`
	Profile  string   `json:"profile"`
	Profiles []string `json:"profiles"`
	// by "Category/Name"; a parameter without a value or a default is absent
	Params map[string]string `json:"params"`
	Video  Video             `json:"video"`
	Active Active            `json:"active"`
	// encoder settings of Advanced mode; nil without a script in OBS that reads them
	Encoder map[string]any `json:"encoder,omitzero"`
	// OBS answered with status 700 when it received the WHIP service
	NoWHIP bool `json:"noWhip,omitempty"`
}

// A Service is the service to which OBS streams. Its secrets are separate from its settings, so
// that a reading can be printed.
type Service struct {
	Type     string         `json:"type"`
	Settings map[string]any `json:"settings"`
	secrets  map[string]stage.Secret
}

// Video is the response of GetVideoSettings.
type Video struct {
	BaseWidth      int `json:"baseWidth"`
	BaseHeight     int `json:"baseHeight"`
	OutputWidth    int `json:"outputWidth"`
	OutputHeight   int `json:"outputHeight"`
	FPSNumerator   int `json:"fpsNumerator"`
	FPSDenominator int `json:"fpsDenominator"`
}

// FPS returns the frame rate.
func (v Video) FPS() float64 { return float64(v.FPSNumerator) / float64(max(1, v.FPSDenominator)) }

// An Active says which outputs are running. While any of them runs, OBS does not rebuild its
// encoders.
type Active struct {
	Stream bool `json:"stream"`
	Record bool `json:"record"`
	Replay bool `json:"replay"`
	Camera bool `json:"camera"`
}

// parameters returns the parameters of the profile that the rules need.
func parameters() []string {
	return []string{
		"Output/Mode", "Output/Reconnect", "Output/RetryDelay", "Output/MaxRetries",
		"Output/DelayEnable",
		"SimpleOutput/StreamEncoder", "SimpleOutput/StreamAudioEncoder", "SimpleOutput/VBitrate",
		"SimpleOutput/ABitrate",
		"SimpleOutput/UseAdvanced", "SimpleOutput/Preset", "SimpleOutput/x264Settings",
		"AdvOut/Encoder", "AdvOut/AudioEncoder", "AdvOut/ApplyServiceSettings", "AdvOut/TrackIndex",
		"AdvOut/Track1Bitrate", "AdvOut/Track2Bitrate", "AdvOut/Track3Bitrate",
		"AdvOut/Track4Bitrate", "AdvOut/Track5Bitrate", "AdvOut/Track6Bitrate",
		"Stream1/WHIPSimulcastTotalLayers", "Stream1/EnableMultitrackVideo",
		"Audio/SampleRate", "Audio/ChannelSetup", "Auth/Type",
	}
}

// Read reads all settings from OBS.
func Read(ctx context.Context, c *Client) (Reading, error) {
	var version struct {
		OBS      string `json:"obsVersion"`
		Platform string `json:"platform"`
	}
	if err := c.Call(ctx, "GetVersion", nil, &version); err != nil {
		return Reading{}, err
	}
	r := Reading{Version: version.OBS, Platform: version.Platform}
	var err error
	if r.Profile, r.Profiles, err = readProfiles(ctx, c); err != nil {
		return r, err
	}
	if r.Service, err = readService(ctx, c); err != nil {
		return r, err
	}
	if err := c.Call(ctx, "GetVideoSettings", nil, &r.Video); err != nil {
		return r, err
	}
	if r.Params, err = readParams(ctx, c); err != nil {
		return r, err
	}
	if r.Active, err = readActive(ctx, c); err != nil {
		return r, err
	}
	if r.Profile == Profile && r.Params["Output/Mode"] == "Advanced" {
		answer, err := c.ask(ctx, map[string]any{"do": "read"})
		r.Encoder = answer.settings()
		return r, err
	}
	return r, nil
}

func readProfiles(ctx context.Context, c *Client) (current string, all []string, err error) {
	var list struct {
		Current  string   `json:"currentProfileName"`
		Profiles []string `json:"profiles"`
	}
	err = c.Call(ctx, "GetProfileList", nil, &list)
	return list.Current, list.Profiles, err
}

func readService(ctx context.Context, c *Client) (Service, error) {
	var got struct {
		Type     string         `json:"streamServiceType"`
		Settings map[string]any `json:"streamServiceSettings"`
	}
	if err := c.Call(ctx, "GetStreamServiceSettings", nil, &got); err != nil {
		return Service{}, err
	}
	return Service{Type: got.Type, Settings: got.Settings}.hide(), nil
}

// hide moves the secrets out of the settings. OBS sends them in plain text.
func (s Service) hide() Service {
	hidden := Service{s.Type, map[string]any{}, map[string]stage.Secret{}}
	for name, value := range s.Settings {
		text, isText := value.(string)
		switch name {
		case "key", "password", "bearer_token":
			if isText {
				hidden.secrets[name] = stage.NewSecret(text)
			}
		default:
			hidden.Settings[name] = value
		}
	}
	return hidden
}

// request returns the data of SetStreamServiceSettings.
func (s Service) request() map[string]any {
	return map[string]any{"streamServiceType": s.Type, "streamServiceSettings": s.all()}
}

// all returns the settings with the secrets, to send them to OBS.
func (s Service) all() map[string]any {
	settings := map[string]any{}
	maps.Copy(settings, s.Settings)
	for name, secret := range s.secrets {
		settings[name] = secret.Reveal()
	}
	return settings
}

// equal reports whether OBS treats both services the same. To OBS, an absent setting equals a blank
// one.
func (s Service) equal(o Service) bool {
	blank := func(v any) bool { return v == nil || v == "" || v == false }
	mine, theirs := s.all(), o.all()
	has := func(name string, value any, in map[string]any) bool {
		return reflect.DeepEqual(value, in[name]) || blank(value) && blank(in[name])
	}
	for name, value := range mine {
		if !has(name, value, theirs) {
			return false
		}
	}
	for name, value := range theirs {
		if !has(name, value, mine) {
			return false
		}
	}
	return s.Type == o.Type
}

func (s Service) text(name string) string {
	text, _ := s.Settings[name].(string)
	return text
}

// same reports whether a service already has all settings of the wanted service.
func (s Service) same(wanted Service) bool {
	if s.Type != wanted.Type {
		return false
	}
	for name, value := range wanted.Settings {
		if s.Settings[name] != value {
			return false
		}
	}
	for name, secret := range wanted.secrets {
		if !s.secrets[name].Equal(secret) {
			return false
		}
	}
	return true
}

func readParams(ctx context.Context, c *Client) (map[string]string, error) {
	params := map[string]string{}
	for _, name := range parameters() {
		var got struct {
			Value   *string `json:"parameterValue"`
			Default *string `json:"defaultParameterValue"`
		}
		category, key, _ := strings.Cut(name, "/")
		err := c.Call(ctx, "GetProfileParameter", map[string]any{"parameterCategory": category,
			"parameterName": key}, &got)
		if err != nil {
			return nil, err
		}
		if got.Value == nil {
			got.Value = got.Default
		}
		if got.Value != nil {
			params[name] = *got.Value
		}
	}
	return params, nil
}

func readActive(ctx context.Context, c *Client) (a Active, err error) {
	for _, output := range []struct {
		request string
		into    *bool
	}{{"GetStreamStatus", &a.Stream}, {"GetRecordStatus", &a.Record},
		{"GetReplayBufferStatus", &a.Replay}, {"GetVirtualCamStatus", &a.Camera}} {
		var got struct {
			Active bool `json:"outputActive"`
		}
		err := c.Call(ctx, output.request, nil, &got)
		// these statuses mean that this OBS has no such output
		if err != nil && !IsStatus(err, statusBadState) && !IsStatus(err, statusUnknownRequest) {
			return a, err
		}
		*output.into = got.Active
	}
	return a, nil
}

// names returns the running outputs by name. The IDs of the findings are "busy." and this name.
func (a Active) names() (names []string) {
	for _, output := range []struct {
		name string
		on   bool
	}{{"stream", a.Stream}, {"record", a.Record}, {"replay", a.Replay}, {"camera", a.Camera}} {
		if output.on {
			names = append(names, output.name)
		}
	}
	return names
}

var leadingNumber = regexp.MustCompile(`^\d{1,9}`)

// major returns the first number of the version; 0 if there is none.
func (r Reading) major() int { return whole(leadingNumber.FindString(r.Version), 0) }
