-- Stagedoor for OBS, made for {{name}} by {{server}}
--
-- What this script does, from each start of OBS until OBS ends:
--   1. It keeps a dock named "Stagedoor" beside your other docks.
--   2. It keeps OBS's WebSocket server on, with its port and password, so that the dock can reach
--      this OBS. If there is no password, it makes one.
--   3. It gives the dock that password in the part of its address after "#", which browsers
--      send to no server, and takes it out of OBS's files again when OBS ends.
--   4. When the dock requests it, the script writes the encoder settings of the profile
--      "Stagedoor".
--   5. When the server has a new address, and the dock at the new address requests it, the script
--      opens the dock at that address from then on.
-- The script itself sends nothing. "Undo" in its pane reverts all of this, and says what only you
-- can do. Press "Undo" before you remove the script. Otherwise the dock stays in OBS.
--
-- The code below signs in the dock, once, until {{until}}. Until then, give this
-- file to nobody. There is no other secret in it.

local obs, bit = obslua, require("bit")
local server = "{{server}}"
local first_server = server -- the address in this file, before any move
local id = "{{id}}" -- the server's ID, since an OBS can have the scripts of several servers
local code, code_expires = "{{code}}", {{expires}} -- seconds since 1970
local say = {{sentences}}

local settings        -- this script's settings in the scene collection
local notes           -- of this server's pairing; they contain the secret shared with the dock
local before = {}     -- what OBS had before its first pairing; restored when no pairing is left
local findings = {}   -- sentences for the pane
local leaving         -- true while OBS ends or loads another scene collection
local taken           -- true after the pairing was undone in this run of OBS
local quiet_until = 0 -- the time at which the profile may be read again after a change of profile
local last_ask

---- Files ----------------------------------------------------------------------------------

-- Returns OBS's folder, which is elsewhere in portable mode. Its path is part of the path of a
-- module's settings file: that of obs-websocket, or of frontend-tools, which runs this script.
local function folder()
  local module = obs.obs_get_module("obs-websocket") or obs.obs_get_module("frontend-tools")
  return obs.obs_module_get_config_path(module, "config.json"):match("^(.*)[/\\]plugin_config[/\\]")
end

local function own_file(name) return folder() .. "/plugin_config/stagedoor/" .. name end

local function read(path)
  if obs.os_file_exists(path) then return obs.os_quick_read_utf8_file(path) end
end

local function write(path, text)
  obs.os_mkdirs(path:match("^(.*)/"))
  return obs.os_quick_write_utf8_file_safe(path, text, #text, false, "tmp", nil)
end

-- Reads a file of notes: a JSON object of texts. Each paired server has its own file, named by the
-- server's ID. All servers share before.json and encoder.json. Undo restores what is in these two
-- files when no other pairing is left.
local function load_notes(name)
  local found, data = {}, obs.obs_data_create_from_json(read(own_file(name)) or "{}")
  for _, key in ipairs { "secret", "server", "moved_to", "left", "made", "asked_at", "adopted", "restart",
    "file", "before", "docks", "server_enabled", "auth_required", "server_password", "first_load", "made_password" } do
    if data and obs.obs_data_has_user_value(data, key) then
      found[key] = obs.obs_data_get_string(data, key)
    end
  end
  obs.obs_data_release(data)
  return found
end

local function save_notes(name, texts)
  local data = obs.obs_data_create()
  for key, text in pairs(texts) do obs.obs_data_set_string(data, key, text) end
  write(own_file(name), obs.obs_data_get_json(data))
  obs.obs_data_release(data)
end

-- Returns the configuration in user.ini, or before OBS 31 in global.ini.
local function user_config()
  return (obs.obs_frontend_get_user_config or obs.obs_frontend_get_global_config)()
end

local function get_ini(section, name)
  if obs.config_has_user_value(user_config(), section, name) then
    return obs.config_get_string(user_config(), section, name)
  end
end

local function set_ini(section, name, value)
  if value then obs.config_set_string(user_config(), section, name, value)
  else obs.config_remove_value(user_config(), section, name) end
end

local function save_ini() obs.config_save_safe(user_config(), "tmp", nil) end

-- Returns random hexadecimal digits: 122 random bits for each UUID from the system's generator.
local function random(uuids)
  local text = ""
  for _ = 1, uuids do text = text .. obs.os_generate_uuid():gsub("-", "") end
  return text
end

---- OBS's WebSocket server -------------------------------------------------------------------

-- The server's settings are in a JSON file since OBS 30.2, and in global.ini before. A script can
-- only read global.ini: OBS writes these settings again when it ends, after its scripts.
local in_json = obs.obs_get_version() >= 30 * 2 ^ 24 + 2 * 2 ^ 16
local ini_name = { server_enabled = "ServerEnabled", auth_required = "AuthRequired",
  server_password = "ServerPassword", server_port = "ServerPort" }

local function websocket_file() return folder() .. "/plugin_config/obs-websocket/config.json" end

-- Returns a setting as a text, or nil if it is not set.
local function get_websocket(name)
  if not in_json then return get_ini("OBSWebSocket", ini_name[name]) end
  local value, data = nil, obs.obs_data_create_from_json(read(websocket_file()) or "{}")
  if data and obs.obs_data_has_user_value(data, name) then
    if name == "server_password" then value = obs.obs_data_get_string(data, name)
    elseif name == "server_port" then value = tostring(obs.obs_data_get_int(data, name))
    else value = tostring(obs.obs_data_get_bool(data, name)) end
  end
  obs.obs_data_release(data)
  return value
end

-- Changes one setting and leaves the rest of the file as it is. The value nil removes the setting.
local function set_websocket(name, value)
  local text, found = read(websocket_file()) or "{}", 0
  local place = '("' .. name .. '"%s*:%s*)"?%w*"?'
  local new = name == "server_password" and '"' .. (value or "") .. '"' or value
  if value then text, found = text:gsub(place, "%1" .. new, 1)
  else
    text, found = text:gsub(place .. ", ?", "", 1)
    if found == 0 then text = text:gsub(",?%s*" .. place, "", 1) end -- it was the last one
  end
  if value and found == 0 then
    text = text:gsub("{", '{"' .. name .. '": ' .. new .. (text:find("{%s*}") and "" or ", "), 1)
  end
  write(websocket_file(), text)
end

-- Switches the server on. It returns a sentence if the person has to do something.
local function start_websocket()
  if get_websocket("server_enabled") == "true" then
    return get_websocket("auth_required") == "false" and say.open_server or nil
  elseif not in_json then
    return say.enable_server
  end
  local change = { server_enabled = "true" }
  if get_websocket("auth_required") == "false" then change.auth_required = "true" end
  if (get_websocket("server_password") or "") == "" then
    change.server_password, change.first_load = random(1), "false"
    before.made_password = change.server_password
  end
  for name, value in pairs(change) do
    before[name] = before[name] or get_websocket(name) or "none"
    set_websocket(name, value)
  end
  notes.restart = "true" -- OBS reads these settings when it starts
end

-- Restores the server's settings as they were before the first pairing. Before OBS 30.2, only
-- `stagedoor obs pair` can have changed them, and only that command can restore them. It needs the
-- notes for that.
local function stop_websocket()
  local was = load_notes("before.json")
  if was.server_enabled and not in_json then return end
  if get_websocket("server_password") ~= was.made_password then -- keep the person's own
    was.server_password, was.first_load = nil, nil
  end
  for _, name in ipairs { "server_enabled", "auth_required", "server_password", "first_load" } do
    if was[name] == "none" then set_websocket(name, nil)
    elseif was[name] then set_websocket(name, was[name]) end
  end
  obs.os_unlink(own_file("before.json"))
end

---- The dock -------------------------------------------------------------------------------

-- Splits a JSON array of objects into the texts of its objects.
local function objects(array)
  local list, depth, quoted, start, i = {}, 0, false, 1, 1
  while i <= #array do
    local c = array:sub(i, i)
    if c == "\\" then i = i + 1
    elseif c == '"' then quoted = not quoted
    elseif not quoted and c == "{" then
      depth = depth + 1
      if depth == 1 then start = i end
    elseif not quoted and c == "}" then
      depth = depth - 1
      if depth == 0 then table.insert(list, array:sub(start, i)) end
    end
    i = i + 1
  end
  return list
end

local function field(object, name)
  local data = obs.obs_data_create_from_json(object)
  local text = data and obs.obs_data_get_string(data, name) or ""
  obs.obs_data_release(data)
  return text
end

local function quote(text) return '"' .. text:gsub('[\\"]', "\\%0") .. '"' end

local function entry(title, url, uuid)
  return '{"title": ' .. quote(title) .. ', "url": ' .. quote(url) .. ', "uuid": ' .. quote(uuid) .. "}"
end

-- Reports whether an address is the address of the dock on a server in the list.
local function is_at(address, list)
  for known in list:gmatch("%S+") do
    if address == known .. "/dock" then return true end
  end
end

local function find(list, uuid)
  for _, object in ipairs(list) do
    if field(object, "uuid") == uuid then return object end
  end
end

local function former() return (notes.left or "") .. " " .. (notes.server or "") end

-- Reports whether an entry is this script's dock, or one that the person added for this server.
-- Docks of other servers' scripts are not ours. Another server may now use an address that this
-- server had before, so an entry with that address is ours only if the script has taken it over
-- before.
local function is_ours(object)
  local uuid = field(object, "uuid")
  if uuid:match("^stagedoor%x+$") then return uuid == "stagedoor" .. id end
  local address = field(object, "url"):gsub("#.*", ""):gsub("/$", "")
  return is_at(address, server)
    or find(objects(notes.adopted or ""), uuid) and is_at(address, former())
end

-- Returns the title of a new dock: another server's dock may be named "Stagedoor" already.
local function title_beside(list)
  for _, object in ipairs(list) do
    if field(object, "title") == "Stagedoor" then
      return "Stagedoor (" .. server:match("^%a+://(.*)$") .. ")"
    end
  end
  return "Stagedoor"
end

-- Writes this script's dock with that address into OBS's list. Without an address, it removes the
-- dock and restores the entries that the person had added. It reports whether the list had the dock
-- before, at any address.
local function set_dock(url)
  local list, adopted, place = {}, objects(notes.adopted or ""), nil
  local title, uuid = nil, "stagedoor" .. id
  for _, object in ipairs(objects(get_ini("BasicWindow", "ExtraBrowserDocks") or "[]")) do
    local own = field(object, "uuid")
    if not is_ours(object) then
      table.insert(list, object)
    else
      if own ~= "stagedoor" .. id and not find(adopted, own) then table.insert(adopted, object) end
      if not place then place, title, uuid = #list + 1, field(object, "title"), own end
    end
  end
  if not url and not place then return false end
  if not place then title = title_beside(list) end
  if url then table.insert(list, place or #list + 1, entry(title, url, uuid)) end
  for i = #adopted, 1, -1 do
    local back = not url and not find(list, field(adopted[i], "uuid"))
    if back then table.insert(list, place, adopted[i]) end
  end
  notes.adopted = #adopted > 0 and table.concat(adopted, ", ") or nil
  local none = #list == 0 and before.docks == "none"
  set_ini("BasicWindow", "ExtraBrowserDocks", not none and "[" .. table.concat(list, ", ") .. "]" or nil)
  return place ~= nil
end

---- The profile "Stagedoor" ------------------------------------------------------------------

local function is_selected() return obs.obs_frontend_get_current_profile() == "Stagedoor" end

local function names_in(path)
  local names, dir = {}, obs.os_opendir(path)
  local file = dir and obs.os_readdir(dir)
  while file do
    table.insert(names, file.d_name)
    file = obs.os_readdir(dir)
  end
  if dir then obs.os_closedir(dir) end
  return names
end

-- Returns the folder of the profile "Stagedoor", or nil. The folder may have another name.
local function profile_folder()
  local app = obs.obs_frontend_get_app_config and obs.obs_frontend_get_app_config()
  local place = app and obs.config_get_string(app, "Locations", "Profiles")
  local all = (place and place ~= "" and place .. "/obs-studio" or folder()) .. "/basic/profiles/"
  for _, name in ipairs(names_in(all)) do
    local text = "\n" .. (read(all .. name .. "/basic.ini") or "")
    if text:match("\nName=([^\r\n]*)") == "Stagedoor" then return all .. name end
  end
end

-- Removes the token from the profile's files. OBS keeps the version before the last one as "….bak".
local function forget_token()
  for _, name in ipairs(profile_folder() and { "service.json", "service.json.bak" } or {}) do
    local path = profile_folder() .. "/" .. name
    local text, found = (read(path) or ""):gsub('("bearer_token"%s*:%s*)"[^"]+"', '%1""')
    if found > 0 then write(path, text) end
  end
end

-- Removes the token from OBS's memory. Otherwise OBS would write it into the file again.
local function forget_loaded_token()
  local service = is_selected() and obs.obs_frontend_get_streaming_service()
  if not service then return end
  local settings = obs.obs_service_get_settings(service)
  if obs.obs_data_get_string(settings, "bearer_token") ~= "" then
    obs.obs_data_set_string(settings, "bearer_token", "")
    obs.obs_service_update(service, settings)
    obs.obs_frontend_save_streaming_service()
  end
  obs.obs_data_release(settings)
end

-- Returns the profile that the person had before the set-up, if OBS still has it. The dock has
-- stored that name in the persistent data of OBS's WebSocket server.
local function previous_profile()
  local file = in_json and "/plugin_config/obs-websocket/persistent_data.json"
    or "/obsWebSocketPersistentData.json"
  local data = obs.obs_data_create_from_json(read(folder() .. file) or "{}")
  local slot = data and obs.obs_data_get_obj(data, "stagedoor")
  local previous = slot and obs.obs_data_get_string(slot, "previousProfile") or ""
  obs.obs_data_release(slot)
  obs.obs_data_release(data)
  for _, name in ipairs(obs.obs_frontend_get_profiles()) do
    if name == previous then return name end
  end
end

---- The encoders ---------------------------------------------------------------------------
-- The encoders in order of preference, each with the settings that WHIP needs: a keyframe at least
-- every 4 s, no B-frames, a constant bitrate, little delay.

local encoders = {{encoders}}

-- Returns the IDs of the encoders that this computer has.
local function available()
  local ids = {}
  for _, encoder in ipairs(encoders) do
    if obs.obs_encoder_get_display_name(encoder[1]) then table.insert(ids, encoder[1]) end
  end
  return ids
end

-- Returns the path of the encoder's file if Stagedoor's profile is selected, otherwise nil.
local function encoder_file()
  local path = is_selected() and profile_folder()
  return path and path .. "/streamEncoder.json" or nil
end

-- The encoder's file as it was before a set-up first wrote it. It is restored if the set-up fails.
local kept

local function keep(setup, file)
  if kept and kept.setup == setup and kept.file == file then return end
  kept = { setup = setup, file = file, before = read(file), first = not read(own_file("encoder.json")) }
end

local function give_back(setup)
  local file = encoder_file()
  if not kept or kept.setup ~= setup or kept.file ~= file then return "nothing_kept" end
  if obs.obs_frontend_streaming_active() then return "streaming" end
  if not kept.before then obs.os_unlink(file)
  elseif not write(file, kept.before) then return "not_written" end
  if kept.first then obs.os_unlink(own_file("encoder.json")) end
  kept = nil
  return "done"
end

local function write_encoder(wanted, kbits, seconds, setup)
  local file = encoder_file()
  if not file then return "not_our_profile" end
  if obs.obs_frontend_streaming_active() then return "streaming" end
  if kbits < 100 or kbits > 50000 or seconds < 1 or seconds > 4 then return "out_of_range" end
  for _, encoder in ipairs(encoders) do
    if encoder[1] == wanted and obs.obs_encoder_get_display_name(wanted) then
      keep(setup, file)
      if not read(own_file("encoder.json")) then
        save_notes("encoder.json", { file = file, before = read(file) or "none" })
      end
      local data = obs.obs_data_create()
      for name, value in pairs(encoder[2]) do
        if value == "{kbits}" then value = kbits elseif value == "{seconds}" then value = seconds end
        if type(value) == "boolean" then obs.obs_data_set_bool(data, name, value)
        elseif type(value) == "string" then obs.obs_data_set_string(data, name, value)
        elseif name == "max_bitrate_window" then obs.obs_data_set_double(data, name, value)
        else obs.obs_data_set_int(data, name, value) end
      end
      local written = write(file, obs.obs_data_get_json(data))
      obs.obs_data_release(data)
      return written and "done" or "not_written"
    end
  end
  return "no_such_encoder"
end

local function restore_encoder()
  local notes = load_notes("encoder.json")
  if notes.before == "none" then obs.os_unlink(notes.file)
  elseif notes.before then write(notes.file, notes.before) end
  obs.os_unlink(own_file("encoder.json"))
end

---- The exchange with the dock --------------------------------------------------------------
-- Through OBS's WebSocket server, the dock sets the parameter Ask in the section Stagedoor of the
-- profile. The script sets the parameter Answer there. Both carry an HMAC-SHA256 (RFC 2104) with
-- the shared secret, so that other programs that reach OBS cannot send requests.

local K = {} -- SHA-256's constants (FIPS 180-4), from the cube roots of the first 64 primes
do
  local n = 2
  while #K < 64 do
    local prime = true
    for d = 2, math.sqrt(n) do prime = prime and n % d ~= 0 end
    if prime then K[#K + 1] = bit.tobit(math.floor((n ^ (1 / 3) % 1) * 2 ^ 32)) end
    n = n + 1
  end
end

local function sha256(text)
  local band, bnot, bxor, ror, shr = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift
  local H = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }
  local length = #text * 8
  text = text .. "\128" .. ("\0"):rep((55 - #text) % 64) .. "\0\0\0\0"
    .. string.char(shr(length, 24), band(shr(length, 16), 255), band(shr(length, 8), 255), band(length, 255))
  for block = 1, #text, 64 do
    local w = {}
    for i = 1, 16 do
      local a, b, c, d = text:byte(block + i * 4 - 4, block + i * 4 - 1)
      w[i] = bit.tobit(a * 2 ^ 24 + b * 2 ^ 16 + c * 2 ^ 8 + d)
    end
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      w[i] = bit.tobit(w[i - 16] + bxor(ror(x, 7), ror(x, 18), shr(x, 3)) + w[i - 7]
        + bxor(ror(y, 17), ror(y, 19), shr(y, 10)))
    end
    local a, b, c, d, e, f, g, h = unpack(H)
    for i = 1, 64 do
      local t1 = h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + K[i] + w[i]
      local t2 = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
      h, g, f, e, d, c, b, a = g, f, e, bit.tobit(d + t1), c, b, a, bit.tobit(t1 + t2)
    end
    for i, v in ipairs { a, b, c, d, e, f, g, h } do H[i] = bit.tobit(H[i] + v) end
  end
  local bytes = ""
  for _, v in ipairs(H) do
    bytes = bytes .. string.char(shr(v, 24), band(shr(v, 16), 255), band(shr(v, 8), 255), band(v, 255))
  end
  return bytes
end

local function hmac(text)
  local function pad(byte)
    return notes.secret:gsub(".", function(c) return string.char(bit.bxor(c:byte(), byte)) end)
  end
  local inner = sha256(pad(0x36) .. text)
  return (sha256(pad(0x5c) .. inner):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- Reports whether a text is a server's address: https, or http on this computer. It has no path and
-- no user.
local function is_address(text)
  local origin = text:gsub(":%d+$", "")
  local scheme, host = origin:match("^(https?)://([%w.-]+)$")
  if not scheme then scheme, host = origin:match("^(https?)://(%[[%x:]+%])$") end
  return scheme == "https" or scheme == "http"
    and (host == "localhost" or host == "[::1]" or host:match("^127%.%d+%.%d+%.%d+$") ~= nil)
end

-- Handles a move of the server: when OBS ends, the dock's entry gets the new address. In OBS, the
-- dock is already open at the new address, from which it sent this request.
local function move(address)
  if #address > 250 or not is_address(address) then return "not_allowed" end
  notes.moved_to, server = address, address
  return "done"
end

-- Answers a request of the dock. The times of requests must increase, so that none is carried out
-- twice.
local function serve(body)
  local data = obs.obs_data_create_from_json(body)
  local at = data and obs.obs_data_get_int(data, "at") or 0
  local answer = obs.obs_data_create()
  obs.obs_data_set_int(answer, "at", at)
  if at <= tonumber(notes.asked_at or 0) then
    obs.obs_data_set_string(answer, "result", "too_old")
  else
    notes.asked_at = ("%d"):format(at)
    local deed, setup = obs.obs_data_get_string(data, "do"), obs.obs_data_get_int(data, "setup")
    if deed == "write" then
      obs.obs_data_set_string(answer, "result", write_encoder(obs.obs_data_get_string(data, "encoder"),
        obs.obs_data_get_int(data, "bitrate"), obs.obs_data_get_int(data, "keyint_sec"), setup))
    elseif deed == "restore" then
      obs.obs_data_set_string(answer, "result", give_back(setup))
    elseif deed == "move" then
      obs.obs_data_set_string(answer, "result", move(obs.obs_data_get_string(data, "server")))
    end
    save_notes(id .. ".json", notes)
    local file = encoder_file()
    obs.obs_data_set_string(answer, "settings", file and read(file) or "")
    obs.obs_data_set_string(answer, "encoders", table.concat(available(), " "))
  end
  local text = obs.obs_data_get_json(answer)
  obs.obs_data_release(answer)
  obs.obs_data_release(data)
  return text
end

local function look()
  if leaving or not notes or notes.undone or obs.os_gettime_ns() < quiet_until then return end
  local profile = obs.obs_frontend_get_profile_config()
  local ask = profile and obs.config_get_string(profile, "Stagedoor", "Ask") or ""
  if ask == last_ask then return end
  last_ask = ask
  local mac, body = ask:match("^(%x+) (.*)$")
  if not mac or mac ~= hmac("ask " .. body) then return end
  local answer = serve(body)
  obs.config_set_string(profile, "Stagedoor", "Answer", hmac("answer " .. answer) .. " " .. answer)
end

---- Pairing and undoing ----------------------------------------------------------------------

-- Returns the dock's address, with the values for the dock after the "#".
local function hand_over()
  local parts = {}
  local function add(name, value)
    value = value:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)
    table.insert(parts, name .. "=" .. value)
  end
  add("obs-port", get_websocket("server_port") or "4455")
  add("obs-password", get_websocket("server_password") or "")
  add("obs-secret", notes.secret)
  add("obs-server", server)
  add("obs-encoders", table.concat(available(), " "))
  if code ~= "" and os.time() < code_expires then add("enrol", code) end
  return server .. "/dock#" .. table.concat(parts, "&")
end

-- Reads the notes. If this script is newer than the last move, its address of the server replaces
-- the address in the notes.
local function recall()
  notes = load_notes(id .. ".json")
  if notes.made ~= ("%d"):format(code_expires) then notes.moved_to = nil end
  server = notes.moved_to or first_server
end

-- Returns the sentence for an OBS that shows no docks, otherwise nil.
local function without_docks()
  if not obs.obs_get_module("obs-browser") then return say.no_docks end
  local wayland = os.getenv("WAYLAND_DISPLAY") and os.getenv("QT_QPA_PLATFORM") ~= "xcb"
  return wayland and say.wayland or nil
end

-- Sets up the dock and the WebSocket server. The address with the secrets is only in OBS's memory,
-- from which OBS opens its docks when it starts. It returns a sentence if the person has to do
-- something.
local function pair(with_secrets)
  if not notes or notes.undone then recall() end
  if notes.server and not is_at(notes.server .. "/dock", server .. " " .. (notes.left or "")) then
    notes.left = former()
  end
  notes.secret, notes.server = notes.secret or random(2), server
  notes.made = ("%d"):format(code_expires)
  before = load_notes("before.json")
  before.docks = before.docks or (get_ini("BasicWindow", "ExtraBrowserDocks") and "some" or "none")
  local problem = start_websocket()
  save_notes("before.json", before)
  if not obs.obs_get_module("obs-browser") then set_dock(nil)
  elseif not set_dock(with_secrets and hand_over() or server .. "/dock") and not without_docks() then
    notes.restart = "true" -- OBS opens its docks when it starts
  end
  if not with_secrets then notes.restart = nil end
  save_notes(id .. ".json", notes)
  return problem
end

local function is_paired() return obs.os_file_exists(own_file(id .. ".json")) end

-- Reports whether `stagedoor obs pair` added this script: then the backup of that command exists.
local function by_command() return obs.os_file_exists(own_file("pair-" .. id .. ".json")) end

-- Reports whether other servers are paired with this OBS: each has a file of notes.
local function others()
  for _, name in ipairs(names_in(own_file(""))) do
    if name:match("^%x+%.json$") and name ~= id .. ".json" then return true end
  end
end

-- Reverts what a script can revert while OBS runs. OBS writes its docks when it ends, so the dock
-- is removed again then.
local function undo()
  if not notes then recall() end
  before, notes.undone = load_notes("before.json"), true
  set_dock(nil)
  forget_loaded_token()
  forget_token()
  obs.os_unlink(own_file(id .. ".json"))
  if not others() then
    stop_websocket()
    restore_encoder()
    obs.os_rmdir(own_file(""))
  end
end

-- Reports whether OBS has a newer script of this server, which acts instead of this one.
local function superseded() return tonumber(load_notes(id .. ".json").made or 0) > code_expires end

---- The pane ----------------------------------------------------------------------------------

-- Returns the sentence for an OBS that cannot be paired, otherwise nil.
local function obstacle()
  local service = obs.obs_service_create("whip_custom", "stagedoor", nil, nil)
  obs.obs_service_release(service)
  return obs.obs_get_version() < 30 * 2 ^ 24 and say["find.whip.old"]
    or not service and say["find.whip.missing"]
    or not obs.obs_get_module("obs-websocket") and say.no_websocket or nil
end

local function is_busy()
  return obs.obs_frontend_streaming_active() or obs.obs_frontend_recording_active()
    or obs.obs_frontend_replay_buffer_active() or obs.obs_frontend_virtualcam_active()
end

local function tell(sentence) if sentence then table.insert(findings, sentence) end end

-- Pairs OBS, and shows what the person has to do, most urgent first.
local function tell_paired()
  local problem, no_docks = pair(true), without_docks()
  tell(problem)
  if notes.restart then tell(no_docks and say.reopen or say.restart) end
  tell(no_docks or not notes.restart and problem ~= say.enable_server and say.ready or nil)
end

-- Shows what was undone and what was not, and last the step that completes the undo.
local function tell_undone(blocked, back)
  tell(not is_paired() and say.taken_back) -- otherwise it is paired in another scene collection
  if taken and others() then
    tell(say.others)
  elseif taken then
    tell(not in_json and not by_command() and get_websocket("server_enabled") == "true" and say.still_on)
    tell(is_selected() and not back and say.selected or profile_folder() and say.profile)
  end
  tell(by_command() and say.undo_rest
    or not blocked and (taken and say.undone or say.removable))
end

-- Undoes the pairing, because the person pressed Undo or because OBS cannot be paired.
local function take_back(blocked, pressed)
  if is_paired() and (blocked or pressed) then
    undo()
    taken = true
  elseif not notes and find(objects(get_ini("BasicWindow", "ExtraBrowserDocks") or ""), "stagedoor" .. id) then
    recall()
    notes.undone = true -- OBS still has the dock, and saves it when it ends
  end
  if blocked and not taken then return tell(by_command() and say.undo_rest or say.unchanged) end
  local back = pressed and is_selected() and not others() and previous_profile()
  tell_undone(blocked, back)
  if back then obs.obs_frontend_set_current_profile(back) end
  if pressed then save_ini() end
end

-- Stores in the scene collection that this file of the script was undone. The number identifies the
-- file, so that a newer file in its place does not count as undone.
local function set_undone(yes) obs.obs_data_set_int(settings, "undone", yes and code_expires or 0) end

-- Runs when OBS starts, and when the person has pressed a button.
local function act(pressed)
  if pressed == "undo" and is_selected() and is_busy() then return tell(say.busy) end
  if pressed then set_undone(pressed == "undo") end
  local blocked, paired = obstacle(), is_paired()
  if paired and superseded() then
    notes = nil
    set_undone(true) -- otherwise it would pair when the newer script is undone
    return tell(say.older)
  end
  local undone = obs.obs_data_get_int(settings, "undone") == code_expires
    or by_command() and not paired and pressed ~= "pair" -- undone in another scene collection
  tell(blocked)
  if not blocked and not undone then
    tell_paired()
  elseif obs.config_set_string then
    take_back(blocked, pressed)
  else -- before OBS 30, a script cannot write OBS's settings
    tell((paired or by_command()) and say.undo_rest or say.unchanged)
  end
end

local function run(pressed)
  findings = {}
  act(pressed)
  for i, sentence in ipairs(findings) do
    findings[i] = sentence:gsub("{(%w+)}", {
      server = server, paired = first_server, version = obs.obs_get_version_string() })
    obs.script_log(obs.LOG_INFO, findings[i])
  end
end

local function on_event(event)
  if event == obs.OBS_FRONTEND_EVENT_PROFILE_CHANGING then
    quiet_until = math.huge
  elseif event == obs.OBS_FRONTEND_EVENT_PROFILE_CHANGED then
    quiet_until = obs.os_gettime_ns() + 1e9
  elseif event == obs.OBS_FRONTEND_EVENT_SCENE_COLLECTION_CHANGING
    or event == obs.OBS_FRONTEND_EVENT_EXIT then
    leaving = true
  elseif event == obs.OBS_FRONTEND_EVENT_SCRIPTING_SHUTDOWN then
    leaving = true
    if notes and not superseded() then -- OBS has just saved its docks, with the secrets
      if notes.undone and not is_paired() then set_dock(nil) else pair(false) end
      save_ini()
    end
  end
end

---- What OBS calls ----------------------------------------------------------------------------

function script_description() return "<h3>Stagedoor</h3>" .. say.about end

function script_load(given)
  settings = given
  run()
  obs.obs_frontend_add_event_callback(on_event)
  obs.timer_add(look, 250)
end

function script_properties()
  local pane = obs.obs_properties_create()
  local function status() return table.concat(findings, "\n\n") end
  obs.obs_properties_add_text(pane, "status", status(), obs.OBS_TEXT_INFO)
  local function button(name, label)
    obs.obs_properties_add_button(pane, name, label, function(properties)
      run(name)
      obs.obs_property_set_description(obs.obs_properties_get(properties, "status"), status())
      return true
    end)
  end
  button("pair", say.pair)
  button("undo", say.undo)
  return pane
end
