package web

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// profiles makes the Me that the page of a caller receives: the user and what they may do.
type profiles struct {
	control *access.Control
	version string
	signIn  SignIn
	public  string // the public URL; empty if the operator has set none
}

// of returns the Me of the caller.
func (s profiles) of(ctx context.Context, who access.Principal) (Me, error) {
	reach, err := s.control.Stages.Reach(ctx, who)
	return s.with(ctx, reach, who), err
}

// ofStream is like `of`, but event streams that open at the same time may share the list of stages.
func (s profiles) ofStream(ctx context.Context, who access.Principal) (Me, error) {
	reach, err := s.control.Stages.ReachOfStream(ctx, who)
	return s.with(ctx, reach, who), err
}

func (s profiles) with(
	ctx context.Context, reach access.Reach, who access.Principal,
) Me {
	me := Me{
		ID: who.User.ID, Name: who.User.Name, Role: who.User.Role, Version: s.version,
		Stages: []MyStage{}, PasskeyNeeded: who.Unproven,
		HasPassword: who.HasPassword && s.signIn.Passwords,
		Rehearsal:   s.control.MayRehearse(ctx, who, reach.Stages) == nil, PublicURL: s.public,
	}
	if s.signIn.Provider != nil && who.ByProvider && s.signIn.Provider.OffersLogout() {
		me.Provider = s.signIn.Name
	}
	for _, b := range reach.Bars {
		me.Bars = append(me.Bars, MyBar{b.Stage.ARN, b.Stage.Name, b.At.UTC(), b.Reason})
	}
	for _, a := range reach.Stages {
		me.Stages = append(me.Stages, MyStage{
			ARN: a.Stage.ARN, Name: a.Stage.Name, Capabilities: a.Capabilities.Words(),
			MaxTTL: int64(a.MaxTTL / time.Second), Served: served(a.Stage.ARN), Limits: a.Limits,
		})
	}
	return me
}
