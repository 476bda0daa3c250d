package ivsemu

import (
	"context"
	"sync"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A participant that joins over a stage's events socket is on the stage without any media. The
// roster lists these participants. It reports each change, and is read afterwards.

// A roll records which stages must be read, and which participants the roster listed last.
type roll struct {
	wake chan struct{}

	mu    sync.Mutex
	dirty map[stage.ARN]bool // guarded by mu
	// used only by the goroutine that reads the roster
	named map[stage.ARN]map[stage.ParticipantID]stage.Participant
}

func newRoll() *roll {
	return &roll{
		wake:  make(chan struct{}, 1),
		dirty: map[stage.ARN]bool{},
		named: map[stage.ARN]map[stage.ParticipantID]stage.Participant{},
	}
}

// Changed reports that the roster of a stage changed. It does not block.
func (e *Emulator) Changed(arn stage.ARN) {
	e.roll.mu.Lock()
	e.roll.dirty[arn] = true
	e.roll.mu.Unlock()
	select {
	case e.roll.wake <- struct{}{}:
	default:
	}
}

func (r *roll) take() map[stage.ARN]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	dirty := r.dirty
	r.dirty = map[stage.ARN]bool{}
	return dirty
}

// callRoll reads the roster of each changed stage, until ctx ends.
func (e *Emulator) callRoll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.roll.wake:
			for arn := range e.roll.take() {
				e.compare(ctx, arn)
			}
		}
	}
}

// compare reads a stage's roster, and records who joined and who left since the last read.
func (e *Emulator) compare(ctx context.Context, arn stage.ARN) {
	if e.Roster == nil {
		return
	}
	list, err := e.Roster.Participants(ctx, arn)
	if err != nil {
		e.cfg.Log.WarnContext(ctx, "the participants of a stage cannot be read", "stage", arn,
			"err", err)
		return
	}
	before, now := e.roll.named[arn], map[stage.ParticipantID]stage.Participant{}
	for _, p := range list {
		now[p.Participant.ID] = p.Participant
		if _, known := before[p.Participant.ID]; !known {
			e.Join(p.Participant, protocolUnknown)
		}
	}
	for id := range before {
		if _, still := now[id]; !still {
			e.Leave(arn, id)
		}
	}
	e.roll.named[arn] = now
}
