package app

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync/atomic"

	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/metrics"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// knownStages holds the stages of the last sweep in memory, for callers that must not wait for the
// database.
type knownStages struct {
	limits atomic.Pointer[map[stage.ARN]stage.Limits]
}

func (k *knownStages) set(limits map[stage.ARN]stage.Limits) { k.limits.Store(&limits) }

// find returns the limits of a stage, if it is known.
func (k *knownStages) find(arn stage.ARN) (stage.Limits, bool) {
	known := k.limits.Load()
	if known == nil {
		return stage.Limits{}, false
	}
	limits, ok := (*known)[arn]
	return limits, ok
}

// local lists the local stages.
func (k *knownStages) local() iter.Seq[stage.ARN] {
	return func(yield func(stage.ARN) bool) {
		known := k.limits.Load()
		if known == nil {
			return // before the first sweep
		}
		for arn := range *known {
			if arn.Local() && !yield(arn) {
				return
			}
		}
	}
}

// localStages are the stages that this server serves itself.
type localStages struct {
	known    *knownStages
	signer   *token.Signer
	media    *sfu.SFU
	whip     *whip.Handler
	signal   *signal.Server
	proxy    *homes.Proxy // nil if no other server reaches this one
	draining *atomic.Bool // the server was asked to stop
	log      *slog.Logger
}

// ready returns an error if the media port does not serve.
func (l *localStages) ready(context.Context) error {
	if !l.media.Addr().IsValid() {
		return errors.New("the media port is closed")
	}
	return nil
}

// disconnect disconnects a participant. If the participant is not on this server, it sends an order
// to the other servers. It works without the database.
func (l *localStages) disconnect(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	err := l.signal.Disconnect(ctx, arn, id, reason)
	if l.proxy == nil || !errors.Is(err, stage.ErrNotFound) {
		return err
	}
	return l.proxy.Send(ctx, homes.Order{
		Verb: homes.Disconnect, Stage: arn, Participant: id, Reason: reason,
	})
}

// end ends the participant's sessions on this server, and the participant's connection to the
// events socket. The parameters `code` and `detail` give the reason.
func (l *localStages) end(ctx context.Context, p stage.Participant, code, detail string) {
	l.whip.Close(p.ID, code, detail)
	if err := l.signal.Disconnect(ctx, p.Stage, p.ID, detail); err != nil &&
		!errors.Is(err, stage.ErrNotFound) {
		l.log.WarnContext(ctx, "a participant was not disconnected", "participant", p.ID,
			"err", err)
	}
}

// close disconnects all participants from a removed stage, on this server and on the other servers.
func (l *localStages) close(arn stage.ARN) {
	ctx := context.Background()
	if err := l.signal.CloseStage(ctx, arn); err != nil {
		l.log.Warn("a removed stage was not closed", "stage", arn, "err", err)
	}
	if l.proxy == nil {
		return
	}
	err := l.proxy.Send(ctx, homes.Order{Verb: homes.CloseStage, Stage: arn})
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		l.log.Warn("a removed stage was not closed everywhere", "stage", arn, "err", err)
	}
}

// closeAll ends every session on this server, after the server has given up all its stages.
func (l *localStages) closeAll() {
	l.whip.CloseAll("home_lost", "The server lost its connection to the others; connect again.")
	l.signal.CloseSockets()
}

// idle reports whether a stage may move to another home: the stage is empty, or this server drains
// and nobody publishes on the stage.
func (l *localStages) idle(arn stage.ARN) bool {
	if l.draining.Load() {
		return !l.publishes(arn)
	}
	present, err := l.signal.Participants(context.Background(), arn)
	return err == nil && len(present) == 0
}

// leave ends the sessions of a stage on this server, so that its viewers reconnect to its next
// home.
func (l *localStages) leave(arn stage.ARN) {
	present, err := l.signal.Participants(context.Background(), arn)
	if err != nil || len(present) == 0 {
		return
	}
	for _, p := range present {
		l.whip.Close(p.Participant.ID, "shutdown", "The server stops.")
	}
	l.signal.CloseSockets(arn)
}

// live reports whether a participant publishes on any stage of this server.
func (l *localStages) live() bool {
	for arn := range l.known.local() {
		if l.publishes(arn) {
			return true
		}
	}
	return false
}

func (l *localStages) publishes(arn stage.ARN) bool {
	present, err := l.media.Participants(context.Background(), arn)
	for _, p := range present {
		if p.Publishing {
			return true
		}
	}
	return err != nil
}

// participants counts the participants on this server.
func (l *localStages) participants() metrics.Participants {
	moved := l.media.Traffic()
	sum := metrics.Participants{BytesIn: moved.Received, BytesOut: moved.Sent}
	for arn := range l.known.local() {
		there, err := l.media.Participants(context.Background(), arn)
		if err != nil {
			continue
		}
		for _, p := range there {
			sum.Viewers += p.Viewers
			if !p.Publishing {
				continue
			}
			sum.Publishing++
			if r := p.Reception; r != nil {
				sum.Loss = max(sum.Loss, r.Loss)
				sum.Bitrate += received(r)
			}
		}
	}
	return sum
}

// received returns the bitrate that the server receives from a publisher.
func received(r *stage.Reception) (bits int) {
	if r != nil && r.Video != nil {
		bits += r.Video.Bitrate
	}
	if r != nil && r.Audio != nil {
		bits += r.Audio.Bitrate
	}
	return bits
}

// A finder finds participants on the local stages of all replicas, without the database.
type finder struct {
	known      *knownStages
	everywhere stage.Moderator
}

// find returns a participant on a stage of this server, or one that another replica has reported.
func (f finder) find(
	ctx context.Context, id stage.ParticipantID,
) (stage.Participant, bool) {
	for arn := range f.known.local() {
		list, _ := f.everywhere.Participants(ctx, arn)
		for _, p := range list {
			if p.Participant.ID == id {
				return p.Participant, true
			}
		}
	}
	return stage.Participant{}, false
}
