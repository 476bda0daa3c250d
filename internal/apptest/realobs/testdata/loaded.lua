-- Prints a line when OBS has loaded everything and has drawn its window: its event loop has
-- saved the scenes ten times, 50 ms apart. Ended earlier, OBS 29 crashes in that drawing.
local obs, saved = obslua, -1
local function save()
  obs.remove_current_callback()
  obs.obs_frontend_save()
end
obs.obs_frontend_add_save_callback(function(_, saving)
  if not saving or saved < 0 or saved > 10 then return end
  saved = saved + 1
  if saved > 10 then print("OBS has loaded") else obs.timer_add(save, 50) end
end)
obs.obs_frontend_add_event_callback(function(event)
  if event == obs.OBS_FRONTEND_EVENT_FINISHED_LOADING then
    saved = 0
    obs.obs_frontend_save()
  end
end)
