package ivs

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxBridgeBody = 256 << 10 // EventBridge sends at most 256 KB
	rememberIDs   = 10_000
	complainEvery = time.Minute // interval of log records about invalid bodies

	// The limits of the passed-on events that are kept: their age and their number. If the leader
	// fails, another process leads within 8 seconds (package lease). Events are kept for longer.
	rememberPassed = 30 * time.Second
	maxPassed      = 5000
)

// Webhook returns a function that receives the events which Amazon EventBridge posts through an API
// destination. The secret is in the header X-Stagedoor-Secret (a connection of type API key) or in
// the password of a connection of type Basic. An event of another kind is no error, because a retry
// would give the same result.
func (s *Service) Webhook(secret stage.Secret) func(*http.Request) error {
	return (&webhook{secret: secret, service: s}).take
}

// Bridge returns a function that receives the event of Amazon EventBridge in a Lambda invocation.
// It needs no secret, because AWS IAM decides who may invoke the function.
func (s *Service) Bridge() func(ctx context.Context, event []byte) error {
	h := &webhook{service: s}
	return func(ctx context.Context, event []byte) error {
		return h.read(ctx, bytes.NewReader(event))
	}
}

type webhook struct {
	secret  stage.Secret
	service *Service

	mu         sync.Mutex
	complained time.Time // when the last invalid body was logged
}

// A bridgeEvent contains the fields of an event that this package reads ("Using EventBridge with
// IVS Real-Time").
type bridgeEvent struct {
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Time       time.Time `json:"time"`
	Resources  []string  `json:"resources"`
	Detail     struct {
		EventName     string    `json:"event_name"`
		EventTime     time.Time `json:"event_time"`
		UserID        string    `json:"user_id"`
		ParticipantID string    `json:"participant_id"`
		ErrorCode     string    `json:"error_code"`
	} `json:"detail"`

	// Members by which other formats of an event are recognized.
	Type      string `json:"Type"`       // present only in a message of Amazon SNS
	EventName string `json:"event_name"` // present only in the detail of an event
}

// problem returns why a body is not a whole event in the format of EventBridge, or "".
func (e bridgeEvent) problem() string {
	whole := "Let the target of the rule send the matched event, without an input path or " +
		"transformer."
	switch {
	case e.ofStages() && e.Detail.EventName == "":
		return "The event lacks its detail. " + whole
	case e.Source != "" && e.DetailType != "":
		if e.ours() && (len(e.Resources) == 0 || e.Detail.ParticipantID == "") {
			return "The event lacks its resources or the participant. " + whole
		}
		return ""
	case e.Type != "":
		return "This is a message of Amazon SNS around an event. Let EventBridge post here " +
			"itself, " +
			"through an API destination."
	case e.EventName != "":
		return "This is the detail of an event alone. " + whole
	}
	return "The body is not an event of EventBridge: it has no source and no detail-type. " + whole
}

// ours reports whether this is the event of a participant.
func (e bridgeEvent) ours() bool {
	return e.ofStages() && bridgeNames[e.Detail.EventName] != ""
}

func (e bridgeEvent) ofStages() bool {
	return e.Source == "aws.ivs" && e.DetailType == "IVS Stage Update"
}

// bridgeNames maps the names of events in EventBridge to those in the API.
var bridgeNames = map[string]string{
	"Participant Published":     "PUBLISH_STARTED",
	"Participant Unpublished":   "PUBLISH_STOPPED",
	"Participant Publish Error": "PUBLISH_ERROR",
}

func (h *webhook) take(r *http.Request) error {
	if !h.trusted(r) {
		return stage.Errorf(stage.ErrUnauthorized, "The secret is missing or wrong.")
	}
	return h.read(r.Context(), http.MaxBytesReader(nil, r.Body, maxBridgeBody))
}

func (h *webhook) read(ctx context.Context, body io.Reader) error {
	var event bridgeEvent
	if err := json.NewDecoder(body).Decode(&event); err != nil {
		return h.reject(ctx, "The body is not an event of EventBridge, which is a JSON object.")
	}
	if problem := event.problem(); problem != "" {
		return h.reject(ctx, problem)
	}
	what, ok := event.happening()
	if !ok || !h.service.serves(what.stage) {
		return nil
	}
	if h.service.cfg.Pass != nil {
		return h.service.passOn(event)
	}
	h.service.tellOnce(event.ID, what)
	return nil
}

// passOn gives an event to all processes. The leader knows the earlier events of the participant.
// The others keep the event in case the leader fails. When passOn returns, the event is stored.
func (s *Service) passOn(event bridgeEvent) error {
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return s.cfg.Pass(data)
}

// Passed receives an event that a process passed on. If this process leads, Passed processes the
// event at once. Otherwise it keeps the event for a while, in case this process begins to lead
// (Recall). It does not block.
func (s *Service) Passed(data []byte) {
	var about struct {
		Away *passedReason `json:"away"`
	}
	if err := json.Unmarshal(data, &about); err == nil && about.Away != nil {
		s.takeReason(*about.Away)
		return
	}
	var event bridgeEvent
	if err := json.Unmarshal(data, &event); err != nil || event.problem() != "" {
		return
	}
	what, ok := event.happening()
	if !ok || !s.serves(what.stage) {
		return
	}
	s.passed.add(passedEvent{event.ID, what, s.cfg.Now()})
	if s.cfg.Leads() {
		s.tellOnce(event.ID, what)
	}
}

// A passedReason contains the reason for which a process is about to disconnect a participant. The
// process sends it to the leader, because EventBridge may report the end before AWS has answered
// the process.
type passedReason struct {
	Stage       stage.ARN           `json:"stage"`
	Participant stage.ParticipantID `json:"participant"`
	Kind        stage.EventKind     `json:"kind"`
	Code        string              `json:"code"`
	Detail      string              `json:"detail"`
	Undone      bool                `json:"undone,omitempty"` // the call to AWS failed
}

// passReason sends the reason to the leader, so that it arrives before the report of the end.
func (s *Service) passReason(r passedReason) {
	if s.cfg.Pass == nil || s.cfg.Leads() {
		return
	}
	data, err := json.Marshal(map[string]passedReason{"away": r})
	if err == nil {
		err = s.cfg.Pass(data)
	}
	if err != nil {
		s.cfg.Log.Warn("the reason of a disconnection is not passed on", "err", err)
	}
}

func (s *Service) takeReason(r passedReason) {
	why := report{r.Kind, r.Code, r.Detail}
	if r.Undone {
		s.tracker.notDisconnecting(r.Stage, r.Participant, why)
		return
	}
	s.tracker.disconnecting(r.Stage, r.Participant, why)
}

// Recall processes the events that were passed on in the last half minute. It is called when this
// process begins to lead, because the previous leader may have died before it processed them. The
// receiver of Config.Events does not store an event again that the previous leader has stored.
func (s *Service) Recall() {
	for _, e := range s.passed.since(s.cfg.Now().Add(-rememberPassed)) {
		s.tellOnce(e.id, e.what)
	}
}

// tellOnce processes an event once, although EventBridge may deliver it several times.
func (s *Service) tellOnce(id string, what happening) {
	if id == "" || s.seen.Add(id, struct{}{}, s.cfg.Now()) {
		s.tracker.add(what)
	}
}

// passedEvents are recently passed-on events, limited in number.
type passedEvents struct {
	mu   sync.Mutex
	list []passedEvent // guarded by mu: oldest first
}

type passedEvent struct {
	id   string
	what happening
	at   time.Time // when it arrived here
}

func (p *passedEvents) add(e passedEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := 0
	for old < len(p.list) &&
		(e.at.Sub(p.list[old].at) > rememberPassed || len(p.list)-old >= maxPassed) {
		old++
	}
	p.list = append(slices.Delete(p.list, 0, old), e)
}

func (p *passedEvents) since(t time.Time) (recent []passedEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.list {
		if !e.at.Before(t) {
			recent = append(recent, e)
		}
	}
	return recent
}

func (h *webhook) trusted(r *http.Request) bool {
	given := r.Header.Get("X-Stagedoor-Secret")
	if _, password, ok := r.BasicAuth(); given == "" && ok {
		given = password
	}
	return !h.secret.Empty() && stage.NewSecret(given).Equal(h.secret)
}

// happening returns the event of a participant. It returns false for other events, such as those of
// compositions.
func (e bridgeEvent) happening() (happening, bool) {
	if !e.ours() {
		return happening{}, false
	}
	arn, err := stage.ParseARN(e.Resources[0])
	at := e.Detail.EventTime
	if at.IsZero() {
		at = e.Time
	}
	return happening{
		stage: arn, participant: stage.ParticipantID(e.Detail.ParticipantID),
		userID: e.Detail.UserID,
		name:   bridgeNames[e.Detail.EventName], code: e.Detail.ErrorCode, at: at, bridge: true,
	}, err == nil
}

// reject returns the error for an invalid body, and logs it for the operator, because EventBridge
// does not show the response.
func (h *webhook) reject(ctx context.Context, problem string) error {
	if h.complains() {
		h.service.cfg.Log.WarnContext(ctx, "an event from EventBridge cannot be read",
			"problem", problem)
	}
	return stage.Errorf(stage.ErrInvalid, "%s", problem)
}

func (h *webhook) complains() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.service.cfg.Now()
	if now.Sub(h.complained) < complainEvery {
		return false
	}
	h.complained = now
	return true
}
