package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
)

// chats serves the chat of stages. Its endpoints get a principal that was limited to the stage in
// the path.
type chats struct {
	rules   *access.Chat
	chat    *feed.Chat
	present presenceOf
}

func (s *chats) routes(a *adapter) []route {
	return []route{
		{"POST /api/stages/{arn}/chat", a.visiting(s.post)},
		{"DELETE /api/stages/{arn}/chat/{message}", a.visiting(s.remove)},
		{"PUT /api/stages/{arn}/chat/muted/{user}", a.visiting(s.mute)},
		{"DELETE /api/stages/{arn}/chat/muted/{user}", a.visiting(s.mute)},
	}
}

// chatHistory returns the chat room of a stage as a principal may see it.
func chatHistory(r feed.Room, who access.Principal) ChatHistory {
	h := ChatHistory{
		Messages: append([]ChatMessage{}, r.Messages...), Moderates: who.Moderates(),
		Posts: who.MayPost() == nil && !r.Mutes(who.User.ID), Muted: []Person{},
	}
	if h.Moderates {
		h.Muted = append(h.Muted, r.Muted...)
	}
	return h
}

func (s *chats) post(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewMessage](r)
	if err != nil {
		return nil, err
	}
	if err := who.MayPost(); err != nil {
		return nil, err
	}
	by := Person{ID: who.User.ID, Name: who.User.Name}
	m, err := s.chat.Post(r.Context(), stageARN(r), by, in.Text,
		s.present(r.Context(), stageARN(r)))
	if err != nil {
		return nil, err
	}
	return created(m), nil
}

func (s *chats) remove(r *http.Request, who access.Principal) (any, error) {
	if err := who.MayPost(); err != nil {
		return nil, err
	}
	message, author := r.PathValue("message"), access.UserID("")
	err := s.chat.Delete(r.Context(), stageARN(r), feed.Deletion{
		Message: message, By: who.User.ID, Free: who.Moderates(),
		May: func(id access.UserID) error { author = id; return who.MayRemove(id) },
	}, s.present(r.Context(), stageARN(r)))
	if err == nil {
		s.rules.NoteRemoved(r.Context(), who, author, message)
	}
	return nil, err
}

func (s *chats) mute(r *http.Request, who access.Principal) (any, error) {
	person, err := s.rules.MuteTarget(r.Context(), who, access.UserID(r.PathValue("user")))
	if err != nil {
		return nil, err
	}
	on := r.Method == http.MethodPut
	if on {
		if err := who.MayMute(person); err != nil {
			return nil, err
		}
	}
	present := s.present(r.Context(), stageARN(r))
	err = s.chat.Mute(r.Context(), stageARN(r),
		Person{ID: person.ID, Name: person.Name}, on, present)
	if err == nil {
		s.rules.NoteMuted(r.Context(), who, person, on)
	}
	return nil, err
}
