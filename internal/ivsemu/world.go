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

// A world is everything the emulator knows, in the order in which it came.
type world struct {
	Seq     int // of the latest record; pages of lists go by it
	Stages  []*stageRecord
	Keys    []*keyRecord
	Ingests []*ingestRecord
	APIKey  *ecdsa.PrivateKey `json:"-"` // signs the tokens of CreateParticipantToken
}

// A record has what all resources have.
type record struct {
	Seq    int
	Region string
	Arn    string
	Name   string
	Tags   map[string]string
}

type stageRecord struct {
	record
	Label     string // the first word of the path of its endpoints
	Recording *recordingShape
	Sessions  []*sessionRecord
	Barred    map[string]bool // participants that DisconnectParticipant disconnected
}

type keyRecord struct {
	record
	Material string
}

type ingestRecord struct {
	record
	Shape ingestShape // all but what record has
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
	Published  bool // ever, which is what the API answers
	Publishing bool // now
	Open       int  // connections
	Protocol   string
	Events     []eventRecord
}

type eventRecord struct {
	Seq             int
	Name, ErrorCode string
	Remote          string
	Time            time.Time
}

func (w *world) next() int { w.Seq++; return w.Seq }

// resource finds a record by its ARN, seen from a region: those of others do not exist there.
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

func (w *world) stage(region, arn string) (*stageRecord, error) {
	if s, ok := resource(w.Stages, (*stageRecord).base, region, arn); ok {
		return s, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

// anyStage finds a stage from whichever region it is.
func (w *world) anyStage(arn stage.ARN) (*stageRecord, error) {
	return w.stage(arn.Region(), string(arn))
}

func (w *world) key(region, arn string) (*keyRecord, error) {
	if k, ok := resource(w.Keys, (*keyRecord).base, region, arn); ok {
		return k, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

func (w *world) ingest(region, arn string) (*ingestRecord, error) {
	if c, ok := resource(w.Ingests, (*ingestRecord).base, region, arn); ok {
		return c, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

// tagged finds the record of any kind behind an ARN.
func (w *world) tagged(region, arn string) (*record, error) {
	if s, err := w.stage(region, arn); err == nil {
		return &s.record, nil
	}
	if k, err := w.key(region, arn); err == nil {
		return &k.record, nil
	}
	if c, err := w.ingest(region, arn); err == nil {
		return &c.record, nil
	}
	return nil, notFound("Resource: %s not found", arn)
}

// active is the session that goes on, or nil.
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

// saved is the state file.
type saved struct {
	World  *world
	APIKey []byte // PKCS #8
}

// loadWorld reads the state file; without one the world is empty. Nobody is connected after a
// start.
func loadWorld(path string, now time.Time) (*world, error) {
	if path == "" {
		return &world{}, nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &world{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the emulator: %w", err)
	}
	var s saved
	if err := json.Unmarshal(content, &s); err != nil || s.World == nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"%s is not a state file of the emulator; remove it to start afresh", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(s.APIKey)
	private, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, stage.Errorf(stage.ErrInvalid,
			"%s has no usable key; remove it to start afresh", path)
	}
	s.World.APIKey = private
	s.World.hangUp(now)
	return s.World, nil
}

// hangUp ends what was going on when the last run stopped.
func (w *world) hangUp(now time.Time) {
	for _, s := range w.Stages {
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

// save writes the state file as a whole: a crash leaves the old or the new one. Writers take turns,
// so that the last one to look at the world is the last one to write.
func (e *Emulator) save() error {
	if e.cfg.StateFile == "" {
		return nil
	}
	e.saving.Lock()
	defer e.saving.Unlock()
	content, err := e.state()
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	if err := writeFile(e.cfg.StateFile, content); err != nil {
		return stage.Errorf(stage.ErrUnavailable, "the state file %s cannot be written",
			e.cfg.StateFile).WithCause(err)
	}
	return nil
}

func (e *Emulator) state() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key, err := x509.MarshalPKCS8PrivateKey(e.world.APIKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(saved{e.world, key})
}

func writeFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".state-*") // mode 0600: it holds a key
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

// newID makes the last part of an ARN.
func newID() string { return stage.NewID() }

// newSessionID is "st-" and 13 letters and digits: exactly 16 characters by the model.
func newSessionID() string { return "st-" + stage.NewID() + strings.ToLower(stage.NewID()[:1]) }
