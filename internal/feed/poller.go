package feed

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	presencePace = PostEvery              // how often values such as bitrates are read
	presenceWait = 100 * time.Millisecond // changes within this time are sent together
	// A local stage that is empty on this replica reports when a participant joins. So its presence
	// is read rarely: every emptyEvery-th time.
	emptyEvery = 15
)

// A poller reads the presence on this replica for a hub, and exchanges it with the other replicas.
type poller struct {
	hub     *hub
	board   Board
	replica string      // the name of this process on the Board
	asks    func() bool // see Config.Asks
	log     *slog.Logger
}

type reader = func(context.Context, stage.ARN) ([]stage.Presence, error)

// run reads and sends presence until ctx ends. Each stage is read in a goroutine of its own: a read
// of an AWS stage can take seconds, and must not delay the other stages.
func (p *poller) run(ctx context.Context, read reader) error {
	var reads sync.WaitGroup
	defer reads.Wait()
	pace := time.NewTicker(presencePace)
	defer pace.Stop()
	for n := 1; ; {
		select {
		case <-p.hub.changed:
			if !sleep(ctx, presenceWait) {
				return p.withdraw(ctx)
			}
			p.readAll(ctx, &reads, read, func(*watched) bool { return false })
		case <-pace.C:
			every := n%emptyEvery == 0
			p.readAll(ctx, &reads, read, func(w *watched) bool {
				return every || len(w.own) > 0 || !w.arn.Local()
			})
			p.exchange(ctx)
			n++
		case <-ctx.Done():
			return p.withdraw(ctx)
		}
	}
}

// readAll reads the stages that changed, and those that are due. Only one read per stage runs at a
// time, so that no page receives an older presence after a newer one.
func (p *poller) readAll(
	ctx context.Context, reads *sync.WaitGroup, read reader, due func(*watched) bool,
) {
	for _, w := range p.hub.toRead(due) {
		reads.Go(func() {
			if !w.arn.Local() && !p.asks() {
				p.hub.learn(w, nil, true) // another replica posts the presence of this stage
				return
			}
			present, err := read(ctx, w.arn)
			if err != nil {
				p.log.DebugContext(ctx, "presence on a stage is unknown", "stage", w.arn,
					"err", err)
			}
			p.hub.learn(w, present, err == nil)
		})
	}
}

// exchange posts the presence on this replica to the Board, and reads the posts of the other
// replicas.
func (p *poller) exchange(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, PostEvery)
	defer cancel()
	if err := p.board.Post(ctx, p.replica, p.hub.here()); err != nil {
		p.log.DebugContext(ctx, "presence is not sent to the other replicas", "err", err)
	}
	posts, err := p.board.Posts(ctx, p.replica)
	if err != nil {
		p.log.DebugContext(ctx, "presence on the other replicas is unknown", "err", err)
		return
	}
	p.hub.take(posts, p.asks())
}

// withdraw removes the post of this replica from the Board.
func (p *poller) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), PostEvery)
	defer cancel()
	return p.board.Post(ctx, p.replica, nil)
}

// everywhere also lists the participants on other replicas.
type everywhere struct {
	stage.Moderator
	poller *poller
}

// Participants implements stage.Moderator.
func (e everywhere) Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error) {
	others, posted := e.poller.hub.elsewhere(arn)
	if posted && !arn.Local() && !e.poller.asks() {
		return others, nil // the replica that queries Amazon IVS has posted them already
	}
	own, err := e.Moderator.Participants(ctx, arn)
	return merge(own, others), err
}
