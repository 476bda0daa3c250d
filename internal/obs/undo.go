package obs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// undo restores everything. If it cannot restore a part, it still restores the others, and returns
// an error.
func (s *setUp) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, switchLimit)
	defer cancel()
	if err := errors.Join(s.restoreEncoder(ctx), s.restoreProfile(ctx)); err != nil {
		return words.Error(stage.ErrConflict, "setup.notUndone", nil).
			WithCode("obs_not_undone").WithCause(err)
	}
	return nil
}

// restoreEncoder restores the encoder's file. The script works on the current profile only. A
// profile that this set-up created is removed together with its file.
func (s *setUp) restoreEncoder(ctx context.Context) error {
	if !s.wrote || s.created {
		return nil
	}
	if _, err := selectProfile(ctx, s.c, Profile); err != nil {
		return err
	}
	return s.c.restoreEncoder(ctx, s.name)
}

func (s *setUp) restoreProfile(ctx context.Context) error {
	all, err := selectProfile(ctx, s.c, s.before.Profile)
	switch {
	case err != nil:
		return err
	case s.before.Profile == Profile:
		return errors.Join(s.restoreParams(ctx), setVideo(ctx, s.c, s.before.Video),
			restoreService(ctx, s.c, s.before.Service))
	case s.created && slices.Contains(all, Profile):
		return s.c.Call(ctx, "RemoveProfile", map[string]any{"profileName": Profile}, nil)
	}
	return nil
}

// selectProfile selects a profile unless it is the current one, and returns the names of all.
func selectProfile(ctx context.Context, c *Client, name string) ([]string, error) {
	current, all, err := readProfiles(ctx, c)
	if err == nil && current != name {
		err = changeProfile(ctx, c, "SetCurrentProfile", name)
	}
	return all, err
}

// restoreParams restores the parameters of Stagedoor's own profile. It returns only the first
// error, because the others usually have the same cause.
func (s *setUp) restoreParams(ctx context.Context) error {
	now, err := readParams(ctx, s.c)
	if err != nil {
		return err
	}
	names := maps.Clone(now)
	maps.Copy(names, s.before.Params)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, set := s.before.Params[name]
		if value, there := now[name]; set == there && was == value {
			continue
		}
		if !set {
			err = cmp.Or(err, setParam(ctx, s.c, name, nil))
		} else {
			err = cmp.Or(err, setParam(ctx, s.c, name, was))
		}
	}
	return err
}

// restoreService restores a service. OBS refuses an empty set of settings, and merges settings if
// the type stays the same. So a setting that did not exist before becomes blank, which OBS treats
// like an absent one.
func restoreService(ctx context.Context, c *Client, was Service) error {
	now, err := readService(ctx, c)
	if err != nil || now.equal(was) {
		return err
	}
	settings := was.all()
	if now.Type == was.Type {
		for name, value := range now.all() {
			if _, there := settings[name]; !there {
				settings[name] = blankOf(value)
			}
		}
	}
	if len(settings) == 0 {
		settings["bwtest"] = false
	}
	if err := c.Call(ctx, "SetStreamServiceSettings",
		map[string]any{"streamServiceType": was.Type, "streamServiceSettings": settings},
		nil); err != nil {
		return err
	}
	if now, err = readService(ctx, c); err == nil && !now.equal(was) {
		err = errors.New("OBS refused to restore the previous service")
	}
	return err
}

func blankOf(value any) any {
	if _, isText := value.(string); isText {
		return ""
	}
	return false
}

// slot returns the place in OBS where the name of the previous profile is stored. The dock uses the
// same place.
func slot(more map[string]any) map[string]any {
	data := map[string]any{"realm": "OBS_WEBSOCKET_DATA_REALM_GLOBAL", "slotName": "stagedoor"}
	maps.Copy(data, more)
	return data
}

func remember(ctx context.Context, c *Client, profile string) error {
	return c.Call(ctx, "SetPersistentData", slot(
		map[string]any{"slotValue": map[string]string{"previousProfile": profile}}), nil)
}

// Back selects the profile that was current before SetUp, and returns its name.
func Back(ctx context.Context, c *Client) (string, error) {
	// take the turn before the first reading, because another client may select another profile
	// while this one waits
	turn, err := c.takeTurn(ctx)
	if err != nil {
		return "", err
	}
	defer turn.end(context.WithoutCancel(ctx))
	r, err := readActive(ctx, c)
	if err != nil {
		return "", err
	}
	if busy := judgeBusy(Reading{Active: r}); len(busy) > 0 {
		return "", notReady("obs_busy", busy[0])
	}
	current, all, err := readProfiles(ctx, c)
	if err != nil || current != Profile {
		return current, err
	}
	previous := previousProfile(ctx, c, all)
	if previous == "" {
		return "", words.Error(stage.ErrNotFound, "setup.noOther", nil).
			WithCode("obs_no_profile")
	}
	return previous, changeProfile(ctx, c, "SetCurrentProfile", previous)
}

// previousProfile returns the profile for Back: the remembered one, otherwise any other than
// Stagedoor's, or "".
func previousProfile(ctx context.Context, c *Client, all []string) string {
	if name := remembered(ctx, c); slices.Contains(all, name) {
		return name
	}
	return first(all, func(name string) bool { return name != Profile })
}

// remembered returns the name of the profile that SetUp stored in OBS, or "".
func remembered(ctx context.Context, c *Client) string {
	var got struct {
		Value struct {
			Previous string `json:"previousProfile"`
		} `json:"slotValue"`
	}
	if err := c.Call(ctx, "GetPersistentData", slot(nil), &got); err != nil {
		return ""
	}
	return got.Value.Previous
}
