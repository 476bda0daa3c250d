package ivsemu

import (
	"encoding/json"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The faults that can be simulated. An option selects a fault for the whole emulator or for one
// operation. The name of a stage selects a fault, too, if it is the name of a fault, or begins with
// that name and "-". Then every operation with the stage in the field stageArn fails. Operations
// with the stage in the field arn work, so that such a stage can be read and deleted.
const (
	faultThrottle = "throttle"
	faultExpired  = "expired-key"
	faultPending  = "pending-verification"
	faultInternal = "internal-error"
	faultSlow     = "slow"
)

func faultNames() []string {
	return []string{faultThrottle, faultExpired, faultPending, faultInternal, faultSlow}
}

func parseFaults(options []string) (map[string]string, error) {
	faults := map[string]string{}
	known := operations()
	for _, option := range options {
		operation, name, ok := strings.Cut(option, "=")
		if !ok {
			operation, name = "", option
		}
		if faultNamed(name) != name {
			return nil, stage.Errorf(stage.ErrInvalid, "there is no fault %q; there are %s", name,
				strings.Join(faultNames(), ", "))
		}
		if _, ok := known[operation]; !ok && operation != "" {
			return nil, stage.Errorf(stage.ErrInvalid,
				"there is no operation %q to fail", operation)
		}
		faults[operation] = name
	}
	return faults, nil
}

// faultNamed returns the fault that the name of a stage selects, or "".
func faultNamed(name string) string {
	for _, fault := range faultNames() {
		if name == fault || strings.HasPrefix(name, fault+"-") {
			return fault
		}
	}
	return ""
}

func (e *Emulator) failOnPurpose(r *request) error {
	for _, name := range []string{e.faults[""], e.faults[r.operation], e.magic(r.body)} {
		if err := e.inject(r, name); err != nil {
			return err
		}
	}
	return nil
}

// magic returns the fault that is selected by the name of the request's stage.
func (e *Emulator) magic(body []byte) string {
	var in struct {
		StageArn stage.ARN `json:"stageArn"`
	}
	if json.Unmarshal(body, &in) != nil || in.StageArn == "" {
		return ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.anyStage(in.StageArn)
	if err != nil {
		return ""
	}
	return faultNamed(s.Name)
}

func (e *Emulator) inject(r *request, name string) error {
	switch name {
	case faultThrottle:
		return throttled()
	case faultExpired:
		return expiredCredentials()
	case faultPending:
		return pendingVerification()
	case faultInternal:
		return internalError()
	case faultSlow:
		sleep(r.ctx, e.cfg.SlowBy)
	}
	return nil
}
