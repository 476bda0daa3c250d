package obs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// answerLimit is how long to wait for the script, which reads requests four times a second, but not
// within a second after the profile has changed.
const (
	answerLimit = 4 * time.Second
	answerPause = 100 * time.Millisecond
)

// An answer is a response of the script in OBS. In the zero value, At is 0: the script sent no
// answer.
type answer struct {
	At       int64  `json:"at"`
	Result   string `json:"result"`   // "done" if the script carried the request out
	Settings string `json:"settings"` // the text of streamEncoder.json
	Encoders string `json:"encoders"` // IDs of the encoders that OBS has
}

// settings returns the encoder's settings in an answer, nil without an answer, and an empty map
// when the encoder's file is missing or broken.
func (a answer) settings() map[string]any {
	if a.At == 0 {
		return nil
	}
	var settings map[string]any
	if json.Unmarshal([]byte(a.Settings), &settings) != nil || settings == nil {
		return map[string]any{}
	}
	return settings
}

// ask sends a request to the script, as a signed parameter of the profile (docs/decisions/0127). It
// returns the zero value if there is no script, or if no answer arrives in time.
func (c *Client) ask(ctx context.Context, body map[string]any) (answer, error) {
	if c.opts.Script.Empty() {
		return answer{}, nil
	}
	body = maps.Clone(body)
	at := c.askAt()
	body["at"] = at
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	if err := setParam(ctx, c, "Stagedoor/Ask", c.sign("ask ", string(text))); err != nil {
		return answer{}, err
	}
	limit := time.NewTimer(answerLimit)
	defer limit.Stop()
	for {
		a, err := c.readAnswer(ctx)
		if err != nil || a.At == at {
			return a, err
		}
		select {
		case <-limit.C:
			return answer{}, nil
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-time.After(answerPause):
		}
	}
}

// askAt returns a time that increases with every call, because the script refuses a request whose
// time is not later than that of the last one.
func (c *Client) askAt() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastAsk = max(time.Now().UnixMilli(), c.lastAsk+1)
	return c.lastAsk
}

// readAnswer returns an answer that the script has signed.
func (c *Client) readAnswer(ctx context.Context) (a answer, err error) {
	var got struct {
		Value string `json:"parameterValue"`
	}
	request := map[string]any{"parameterCategory": "Stagedoor", "parameterName": "Answer"}
	if err := c.Call(ctx, "GetProfileParameter", request, &got); err != nil {
		return answer{}, err
	}
	_, text, _ := strings.Cut(got.Value, " ")
	if !hmac.Equal([]byte(got.Value), []byte(c.sign("answer ", text))) {
		return answer{}, nil
	}
	if json.Unmarshal([]byte(text), &a) != nil {
		return answer{}, nil
	}
	return a, nil
}

func (c *Client) sign(kind, text string) string {
	mac := hmac.New(sha256.New, []byte(c.opts.Script.Reveal()))
	mac.Write([]byte(kind + text))
	return hex.EncodeToString(mac.Sum(nil)) + " " + text
}

// writeEncoder asks the script to write the encoder's file, as part of the given set-up.
func (c *Client) writeEncoder(ctx context.Context, r encoders.Request, setUp int64) error {
	a, err := c.ask(ctx, map[string]any{
		"do": "write", "encoder": r.Encoder, "bitrate": r.Bitrate, "keyint_sec": r.Interval,
		"setup": setUp,
	})
	switch {
	case err != nil:
		return err
	case a.At == 0:
		return noScript()
	case a.Result != "done":
		return words.Error(stage.ErrConflict, "setup.scriptRefused",
			words.Values{"result": a.Result}).WithCode("obs_script_refused")
	}
	return nil
}

// restoreEncoder asks the script to restore the encoder's file as it was before a certain set-up
// first wrote it.
func (c *Client) restoreEncoder(ctx context.Context, setUp int64) error {
	a, err := c.ask(ctx, map[string]any{"do": "restore", "setup": setUp})
	switch {
	case err != nil:
		return err
	case a.Result != "done":
		return noScript()
	}
	return nil
}

func noScript() error {
	return words.Error(stage.ErrConflict, "setup.noScript", nil).WithCode("obs_no_script")
}
