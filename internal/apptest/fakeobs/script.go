package fakeobs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// A Script imitates stagedoor.lua as far as a paired dock needs it. The script reads a signed
// request from the profile's parameter Stagedoor/Ask and writes its response to Stagedoor/Answer.
// The real script is tested in internal/obs/script.
type Script struct {
	Secret string
	// IDs of the encoders that this computer has
	Encoders []string
	// returns the settings that the script writes for an encoder
	Fit  func(id string, kbits, seconds int) map[string]any
	Deaf bool // the script does not answer
	Old  bool // the script does not support moves
}

// MovedTo returns the address at which the script opens the dock from now on, or "" if no dock
// moved.
func (o *OBS) MovedTo() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.movedTo
}

// ChooseSceneCollection makes another scene collection current. OBS ends the scripts of the
// previous one, and loads those of this one.
func (o *OBS) ChooseSceneCollection(name string, hasScript bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	chosen := map[string]any{"sceneCollectionName": name}
	o.emit(eventConfig, "CurrentSceneCollectionChanging", chosen)
	o.opts.Script.Deaf = !hasScript
	o.emit(eventConfig, "CurrentSceneCollectionChanged", chosen)
}

// A keptFile is the content that streamEncoder.json had before a set-up.
type keptFile struct {
	setUp int64
	file  map[string]any
}

// File returns streamEncoder.json of a profile, or nil if it does not exist.
func (o *OBS) File(profile string) map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.profile(profile); p != nil {
		return p.encoderFile
	}
	return nil
}

// lookAtAsk processes the request in the current profile, as the script does. The caller holds the
// lock.
func (o *OBS) lookAtAsk() {
	s := o.opts.Script
	if s.Secret == "" || s.Deaf {
		return
	}
	ask := o.current.params["Stagedoor/Ask"]
	_, body, _ := strings.Cut(ask, " ")
	var request struct {
		At      int64  `json:"at"`
		Do      string `json:"do"`
		Encoder string `json:"encoder"`
		Bitrate int    `json:"bitrate"`
		Seconds int    `json:"keyint_sec"`
		SetUp   int64  `json:"setup"`
		Server  string `json:"server"`
	}
	if ask != s.sign("ask ", body) || json.Unmarshal([]byte(body), &request) != nil {
		return
	}
	answer := map[string]any{"at": request.At, "encoders": strings.Join(s.Encoders, " ")}
	ours := o.current.name == "Stagedoor"
	switch {
	case request.At <= o.asked:
		answer = map[string]any{"at": request.At, "result": "too_old"}
	case request.Do == "write" && !ours:
		answer["result"] = "not_our_profile"
	case request.Do == "write" && !slices.Contains(s.Encoders, request.Encoder):
		answer["result"] = "no_such_encoder"
	case request.Do == "restore" && (!ours || o.kept.setUp != request.SetUp):
		answer["result"] = "nothing_kept"
	case request.Do == "restore":
		o.current.encoderFile = o.kept.file
		answer["result"] = "done"
	case request.Do == "write":
		if o.kept.setUp != request.SetUp {
			o.kept = keptFile{request.SetUp, o.current.encoderFile}
		}
		o.current.encoderFile = s.Fit(request.Encoder, request.Bitrate, request.Seconds)
		answer["result"] = "done"
	case request.Do == "move" && !s.Old:
		o.movedTo = request.Server
		answer["result"] = "done"
	}
	if ours && o.current.encoderFile != nil {
		text, _ := json.Marshal(o.current.encoderFile)
		answer["settings"] = string(text)
	}
	o.asked = max(o.asked, request.At)
	text, _ := json.Marshal(answer)
	o.current.params["Stagedoor/Answer"] = s.sign("answer ", string(text))
}

func (s Script) sign(kind, text string) string {
	mac := hmac.New(sha256.New, []byte(s.Secret))
	mac.Write([]byte(kind + text))
	return hex.EncodeToString(mac.Sum(nil)) + " " + text
}
