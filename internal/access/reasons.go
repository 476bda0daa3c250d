package access

import "github.com/stagedoor/stagedoor/internal/words"

// An endReason is why the server ends a session: the KEY of the sentence said.reason.KEY.
type endReason string

const (
	reasonRevoked    endReason = "revoked"
	reasonLogin      endReason = "login"
	reasonPassword   endReason = "password"
	reasonRole       endReason = "role"
	reasonAccount    endReason = "account"
	reasonSuspended  endReason = "suspended"
	reasonNotVouched endReason = "notVouched"
	reasonViewingKey endReason = "viewingKey"
	reasonGuestLink  endReason = "guestLink"
	reasonStage      endReason = "stage"
	reasonRemoved    endReason = "removed"
	reasonChanged    endReason = "changed"
)

// sentence is shown to the participant whose session ends.
func (r endReason) sentence() string { return words.English("said.reason."+string(r), nil) }
