-- Prints a line when OBS has loaded everything and has drawn its window. By then its event loop has
-- saved the scenes ten times, 50 ms apart. If OBS 29 is ended earlier, it crashes while it draws.
-- Later the script closes OBS's window when a file named "close" exists.
--
-- The script does not use OBS's event "finished loading": another thread of OBS adds the script's
-- callbacks, and on a busy machine the event came before that. A request to save is ignored while
-- OBS loads, and the next one follows after 50 ms.
--
-- The script closes the window from OBS's event loop. On SIGINT, OBS 29 closes its window in the
-- signal handler, in the middle of other work (docs/decisions/0160).
local obs, ffi, saved, closing = obslua, require("ffi"), 0, false
ffi.cdef [[
void *obs_frontend_get_main_window(void);
void _ZN6QTimer10singleShotEiPK7QObjectPKc(int, const void *, const char *);
]]
local function tick()
  local file = saved > 10 and io.open(os.getenv("HOME") .. "/close")
  if file then
    file:close()
    os.remove(os.getenv("HOME") .. "/close")
    closing = true
    obs.remove_current_callback()
  end
  if file or saved <= 10 then obs.obs_frontend_save() end
end
obs.obs_frontend_add_save_callback(function(_, saving) -- runs on the thread of the window
  if not saving then return end
  saved = saved + 1
  if saved == 11 then print("OBS has loaded") end
  if closing then
    closing = false
    ffi.C._ZN6QTimer10singleShotEiPK7QObjectPKc(0, ffi.C.obs_frontend_get_main_window(), "1close()")
  end
end)
obs.timer_add(tick, 50)
