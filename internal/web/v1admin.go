package web

import (
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// v1Rules serves the rules that give access.
type v1Rules struct{ control *access.Control }

func (v v1Rules) list(r *http.Request, who access.Principal) (any, error) {
	rules, err := v.control.Rules(r.Context(), who)
	return V1Rules{mapped(rules, v1Rule)}, err
}

func (v v1Rules) add(r *http.Request, who access.Principal) (any, error) {
	rule, err := v.store(r, who, "")
	if err != nil {
		return nil, err
	}
	return created(v1Rule(rule)), nil
}

func (v v1Rules) put(r *http.Request, who access.Principal) (any, error) {
	rule, err := v.store(r, who, access.RuleID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	return v1Rule(rule), nil
}

// effect returns what a rule would change. A rule with an ID replaces the stored rule with that ID.
func (v v1Rules) effect(r *http.Request, who access.Principal) (any, error) {
	rule, err := ruleIn(r)
	if err != nil {
		return nil, err
	}
	e, err := v.control.RuleEffect(r.Context(), who, rule)
	return V1RuleEffect{e.Gain, e.Lose, e.Change, append([]string{}, e.Losing...)}, err
}

func (v v1Rules) store(
	r *http.Request, who access.Principal, id access.RuleID,
) (access.Rule, error) {
	rule, err := ruleIn(r)
	if err != nil {
		return access.Rule{}, err
	}
	rule.ID = id
	return v.control.PutRule(r.Context(), who, rule)
}

// ruleIn reads a rule from the body of a request.
func ruleIn(r *http.Request) (access.Rule, error) {
	in, err := decode[V1Rule](r)
	if err != nil {
		return access.Rule{}, err
	}
	can, err := stage.ParseCapabilities(in.Capabilities)
	if err != nil {
		return access.Rule{}, err
	}
	life, err := seconds(in.MaxTTL)
	if err != nil {
		return access.Rule{}, err
	}
	return access.Rule{
		ID: in.ID, Claim: access.Claim{Name: in.Claim, Value: in.Value}, Stage: in.Stage,
		Own: in.OwnStage, Region: in.Region, OwnOf: in.OwnStagesOf, Capabilities: can,
		MaxTTL: life,
	}, nil
}

func (v v1Rules) remove(r *http.Request, who access.Principal) (any, error) {
	return nil, v.control.RemoveRule(r.Context(), who, access.RuleID(r.PathValue("id")))
}

// v1APIKeys serves API keys.
type v1APIKeys struct{ keys *access.APIKeys }

func (v v1APIKeys) list(r *http.Request, who access.Principal) (any, error) {
	keys, err := v.keys.List(r.Context(), who)
	return V1APIKeys{mapped(keys, v1APIKey)}, err
}

func (v v1APIKeys) create(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1NewAPIKey](r)
	if err != nil {
		return nil, err
	}
	if in.Days < 0 || in.Days > 3650 {
		return nil, stage.Errorf(stage.ErrInvalid,
			"days must be 1 to 3650; leave it out for a key that never expires.")
	}
	key, secret, err := v.keys.Create(r.Context(), who, in.Name, in.Scopes,
		time.Duration(in.Days)*24*time.Hour)
	if err != nil {
		return nil, err
	}
	return created(V1CreatedAPIKey{v1APIKey(key), secret.Reveal()}), nil
}

func (v v1APIKeys) revoke(r *http.Request, who access.Principal) (any, error) {
	return nil, v.keys.Revoke(r.Context(), who, r.PathValue("id"))
}

// v1Webhooks serves webhooks.
type v1Webhooks struct{ webhooks *access.Webhooks }

func (v v1Webhooks) list(r *http.Request, who access.Principal) (any, error) {
	hooks, err := v.webhooks.List(r.Context(), who)
	return V1Webhooks{mapped(hooks, v1Webhook), access.MessageTypes()}, err
}

func (v v1Webhooks) create(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1NewWebhook](r)
	if err != nil {
		return nil, err
	}
	hook, err := v.webhooks.Create(r.Context(), who, in.URL, in.Types)
	if err != nil {
		return nil, err
	}
	return created(V1CreatedWebhook{v1Webhook(hook), hook.Secret.Reveal()}), nil
}

func webhookID(r *http.Request) access.WebhookID { return access.WebhookID(r.PathValue("id")) }

func (v v1Webhooks) remove(r *http.Request, who access.Principal) (any, error) {
	return nil, v.webhooks.Delete(r.Context(), who, webhookID(r))
}

func (v v1Webhooks) test(r *http.Request, who access.Principal) (any, error) {
	id, err := v.webhooks.Test(r.Context(), who, webhookID(r))
	return reply{status: http.StatusAccepted, body: V1Queued{id}}, err
}

func (v v1Webhooks) dead(r *http.Request, who access.Principal) (any, error) {
	found, err := v.webhooks.Dead(r.Context(), who, webhookID(r))
	return V1Deliveries{mapped(found, v1Delivery)}, err
}

func (v v1Webhooks) replay(r *http.Request, who access.Principal) (any, error) {
	n, err := v.webhooks.Replay(r.Context(), who, webhookID(r),
		r.URL.Query().Get("delivery"))
	return V1Replayed{n}, err
}
