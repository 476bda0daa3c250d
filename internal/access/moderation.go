package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxModerated is the most stages whose lists are merged into one page. For more stages, one list
// of all stages is read, with the condition that the user has access.
const maxModerated = 100

// Moderation kicks and bars participants, changes the roles of guests, and lists bars and refusals,
// for moderators and operators.
type Moderation struct {
	*trail
	stages   *stageList
	links    *GuestLinks
	sessions *sessions
	caches   *caches
	outage   *Outage
}

// mayKick returns an error if a principal may not kick participants from a stage. Moderators may
// kick on stages to which they have access.
func (m *Moderation) mayKick(ctx context.Context, who Principal, arn stage.ARN) error {
	if err := who.Require(ScopeModerate); err != nil {
		return err
	}
	if _, err := stageOf(ctx, m.store, arn); err != nil {
		return err
	}
	if who.User.Role == Operator {
		return nil
	}
	permit, err := m.store.Permit(ctx, who.User.ID, arn, Rate{})
	if err != nil {
		return notFoundIs(err, signInAgain())
	}
	if !mayEnter(permit) {
		return noGrant()
	}
	key := permitKey{who.User.ID, arn}
	_, generation, _ := m.outage.permits.get(key)
	m.outage.permits.put(key, m.now(), generation)
	return nil
}

// narrowed limits a list for moderators to certain stages. The zero value means every stage.
type narrowed struct {
	list []stage.ARN // these stages; nil: see the next field
	// the stages of this user, if they are too many for `list`; "" means every stage
	of UserID
}

func (n narrowed) none() bool { return n.list != nil && len(n.list) == 0 }

// moderated returns the stages to which a list for moderators is limited: the requested one, or all
// that were granted. Operators moderate every stage.
func (m *Moderation) moderated(ctx context.Context, by Principal, arn stage.ARN) (narrowed, error) {
	if err := by.Require(ScopeModerate); err != nil {
		return narrowed{}, err
	}
	if arn != "" {
		return narrowed{list: []stage.ARN{arn}}, m.mayKick(ctx, by, arn)
	}
	if by.User.Role == Operator {
		return narrowed{}, nil
	}
	grants, err := m.stages.accesses(ctx, by.User.ID)
	stages := []stage.ARN{}
	for _, g := range grants {
		if effective(by.User.Role, g).Capabilities != 0 {
			stages = append(stages, g.Stage)
		}
	}
	if len(stages) > maxModerated {
		return narrowed{of: by.User.ID}, err
	}
	return narrowed{list: stages}, err
}

// Stages lists the stages that the caller moderates, or the requested one.
func (m *Moderation) Stages(
	ctx context.Context, by Principal, arn stage.ARN,
) ([]stage.Stage, error) {
	if err := by.Require(ScopeModerate); err != nil {
		return nil, err
	}
	if arn != "" {
		if err := m.mayKick(ctx, by, arn); err != nil {
			return nil, err
		}
	}
	reach, err := m.stages.reach(ctx, by, m.stages.current)
	list := make([]stage.Stage, 0, len(reach.Stages))
	for _, s := range reach.Stages {
		if arn == "" || s.Stage.ARN == arn {
			list = append(list, s.Stage)
		}
	}
	return list, err
}

// NamesOf returns the names of users. The caller must have received their IDs in another answer;
// NamesOf does not check that.
func (m *Moderation) NamesOf(
	ctx context.Context, by Principal, ids ...UserID,
) (map[UserID]string, error) {
	if err := by.Require(ScopeModerate); err != nil || len(ids) == 0 {
		return nil, err
	}
	return m.store.Names(ctx, ids...)
}

// GuestsOf returns the names of the guests among participants. The caller must have received the
// IDs in another answer; GuestsOf does not check that. An event of a guest cannot name the guest,
// since its user is the owner of the guest link.
func (m *Moderation) GuestsOf(
	ctx context.Context, by Principal, ids ...stage.ParticipantID,
) (map[stage.ParticipantID]string, error) {
	if err := by.Require(ScopeModerate); err != nil || len(ids) == 0 {
		return nil, err
	}
	tokens, err := m.store.Issuances(ctx, ids...)
	names := map[stage.ParticipantID]string{}
	for _, i := range tokens {
		if i.guest() {
			names[i.ID] = i.UserName
		}
	}
	return names, err
}
