package ivs

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxBridgeBody = 256 << 10 // EventBridge sends at most 256 KB
	rememberIDs   = 10_000
)

// Webhook takes in the events that Amazon EventBridge posts through an API destination. The secret comes in the header
// X-Stagedoor-Secret (a connection of the type API key), or as the password of one of the type Basic.
func (s *Service) Webhook(secret stage.Secret) http.Handler {
	return &webhook{secret: secret, service: s, seen: map[string]bool{}}
}

type webhook struct {
	secret  stage.Secret
	service *Service

	mu    sync.Mutex
	seen  map[string]bool // IDs of events: EventBridge delivers at least once
	order []string
}

// A bridgeEvent is the part that we read ("Using EventBridge with IVS Real-Time").
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
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "EventBridge posts here.", http.StatusMethodNotAllowed)
		return
	}
	if !h.trusted(r) {
		http.Error(w, "The secret is missing or wrong.", http.StatusUnauthorized)
		return
	}
	var event bridgeEvent
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBridgeBody)).Decode(&event); err != nil {
		http.Error(w, "The body is not an event of EventBridge.", http.StatusBadRequest)
		return
	}
	if what, ok := event.happening(); ok && h.service.Serves(what.stage) && h.first(event.ID) {
		h.service.tracker.tell(what)
	}
	w.WriteHeader(http.StatusNoContent) // also for what does not concern us: a retry would not change that
}

func (h *webhook) trusted(r *http.Request) bool {
	given := r.Header.Get("X-Stagedoor-Secret")
	if _, password, ok := r.BasicAuth(); given == "" && ok {
		given = password
	}
	return !h.secret.Empty() && stage.NewSecret(given).Equal(h.secret)
}

// first says whether an event is new.
func (h *webhook) first(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id == "" {
		return true
	}
	if h.seen[id] {
		return false
	}
	if len(h.order) == rememberIDs {
		delete(h.seen, h.order[0])
		h.order = h.order[1:]
	}
	h.seen[id] = true
	h.order = append(h.order, id)
	return true
}

// happening reads the events of participants; others, such as those of compositions, are none of ours.
func (e bridgeEvent) happening() (happening, bool) {
	name := map[string]string{
		"Participant Published":     "PUBLISH_STARTED",
		"Participant Unpublished":   "PUBLISH_STOPPED",
		"Participant Publish Error": "PUBLISH_ERROR",
	}[e.Detail.EventName]
	if name == "" || e.Source != "aws.ivs" || e.DetailType != "IVS Stage Update" || len(e.Resources) == 0 || e.Detail.ParticipantID == "" {
		return happening{}, false
	}
	arn, err := stage.ParseARN(e.Resources[0])
	at := e.Detail.EventTime
	if at.IsZero() {
		at = e.Time
	}
	return happening{
		stage: arn, participant: stage.ParticipantID(e.Detail.ParticipantID), userID: e.Detail.UserID,
		name: name, code: e.Detail.ErrorCode, at: at, bridge: true,
	}, err == nil
}
