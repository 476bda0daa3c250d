package ivsemu

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// state is what the emulator stores. Its lists are in order of creation.
type state struct {
	Seq     int // number of the latest record; the numbers are the keys of paged lists
	Stages  []*stageRecord
	Keys    []*keyRecord
	Ingests []*ingestRecord
	APIKey  *ecdsa.PrivateKey `json:"-"` // signs the tokens of CreateParticipantToken
}

// A record contains the fields that all resources share.
type record struct {
	Seq    int
	Region string
	Arn    string
	Name   string
	Tags   map[string]string
}

type stageRecord struct {
	record
	Label     string // first segment of the paths of the stage's endpoints
	Recording *recordingShape
	Sessions  []*sessionRecord
	Barred    map[string]bool // participants whom DisconnectParticipant disconnected
}

type keyRecord struct {
	record
	Material string
}

type ingestRecord struct {
	record
	Shape ingestShape // everything except what the type `record` has
}

type sessionRecord struct {
	Seq          int
	ID           string
	Start, End   time.Time
	Participants []*participantRecord
}

type participantRecord struct {
	Seq        int
	ID         string
	UserID     string
	Attributes map[string]string
	Joined     time.Time
	Published  bool // whether the participant has ever published, as the API returns it
	Publishing bool // publishes now
	Open       int  // number of open connections
	Protocol   string
	Events     []eventRecord
}

type eventRecord struct {
	Seq             int
	Name, ErrorCode string
	Remote          string
	Time            time.Time
}

func (st *state) next() int { st.Seq++; return st.Seq }

// resource returns a record by its ARN, if it is in the region of the request.
func resource[T any](list []T, of func(T) *record, region, arn string) (T, bool) {
	i := slices.IndexFunc(list, func(item T) bool {
		return of(item).Arn == arn && of(item).
			Region == region
	})
	if i < 0 {
		var none T
		return none, false
	}
	return list[i], true
}

func (s *stageRecord) base() *record  { return &s.record }
func (k *keyRecord) base() *record    { return &k.record }
func (c *ingestRecord) base() *record { return &c.record }

// inRegion lists the records of a region.
func inRegion[T interface{ base() *record }](list []T, region string) []T {
	var found []T
	for _, item := range list {
		if item.base().Region == region {
			found = append(found, item)
		}
	}
	return found
}

func (st *state) stage(region, arn string) (*stageRecord, error) {
	if s, ok := resource(st.Stages, (*stageRecord).base, region, arn); ok {
		return s, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

// anyStage returns a stage of any region.
func (st *state) anyStage(arn stage.ARN) (*stageRecord, error) {
	return st.stage(arn.Region(), string(arn))
}

func (st *state) key(region, arn string) (*keyRecord, error) {
	if k, ok := resource(st.Keys, (*keyRecord).base, region, arn); ok {
		return k, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

func (st *state) ingest(region, arn string) (*ingestRecord, error) {
	if c, ok := resource(st.Ingests, (*ingestRecord).base, region, arn); ok {
		return c, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

// tagged returns the record with that ARN, of any kind.
func (st *state) tagged(region, arn string) (*record, error) {
	if s, err := st.stage(region, arn); err == nil {
		return &s.record, nil
	}
	if k, err := st.key(region, arn); err == nil {
		return &k.record, nil
	}
	if c, err := st.ingest(region, arn); err == nil {
		return &c.record, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

// active returns the current stage session, or nil.
func (s *stageRecord) active() *sessionRecord {
	if n := len(s.Sessions); n > 0 && s.Sessions[n-1].End.IsZero() {
		return s.Sessions[n-1]
	}
	return nil
}

func (s *stageRecord) session(id string) (*sessionRecord, error) {
	for _, session := range s.Sessions {
		if session.ID == id {
			return session, nil
		}
	}
	return nil, notFound("Resource: %s not found", id)
}

func (s *sessionRecord) participant(id string) *participantRecord {
	for _, p := range s.Participants {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// saved is the content of the state file.
type saved struct {
	State  *state `json:"World"` // the name that earlier versions used in their files
	APIKey []byte // PKCS #8
}

// loadState reads the state file. Without a state file the state is empty. After a start, nobody is
// connected.
func loadState(path string, now time.Time) (*state, error) {
	if path == "" {
		return &state{}, nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the emulator: %w", err)
	}
	var s saved
	if err := json.Unmarshal(content, &s); err != nil || s.State == nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"%s is not a state file of the emulator; remove it to start afresh", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(s.APIKey)
	private, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, stage.Errorf(stage.ErrInvalid,
			"%s has no usable key; remove it to start afresh", path)
	}
	s.State.APIKey = private
	s.State.hangUp(now)
	return s.State, nil
}

// hangUp ends the sessions that were open when the last run stopped.
func (st *state) hangUp(now time.Time) {
	for _, s := range st.Stages {
		session := s.active()
		if session == nil {
			continue
		}
		session.End = now
		for _, p := range session.Participants {
			p.Open, p.Publishing = 0, false
		}
	}
}

// save replaces the state file atomically. Writers take turns, so that the last writer has the
// newest state.
func (e *Emulator) save() error {
	if e.cfg.StateFile == "" {
		return nil
	}
	e.saving.Lock()
	defer e.saving.Unlock()
	content, err := e.encodeState()
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	if err := writeFile(e.cfg.StateFile, content); err != nil {
		return stage.Errorf(stage.ErrUnavailable, "the state file %s cannot be written",
			e.cfg.StateFile).WithCause(err)
	}
	return nil
}

func (e *Emulator) encodeState() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key, err := x509.MarshalPKCS8PrivateKey(e.state.APIKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(saved{e.state, key})
}

func writeFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".state-*") // mode 0600: it contains a key
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// newID returns the last part of an ARN.
func newID() string { return stage.NewID() }

// newSessionID returns "st-" and 13 letters and digits. The model requires exactly 16 characters.
func newSessionID() string { return "st-" + stage.NewID() + strings.ToLower(stage.NewID()[:1]) }
