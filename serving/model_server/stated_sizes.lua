-- Refuses Predict requests that ask for more memory than they are worth, before the model server
-- reads them. It believes the shape that a tensor states: 98 bytes can make it take 3 GB.

-- Rows (histories) of an input. A row takes 4 bytes an item of the catalog, several times over.
local MAX_ROWS = 256

local PREDICT = "/tensorflow.serving.PredictionService/Predict"
local INVALID_ARGUMENT = "3"
-- Numbers of fields: PredictRequest, its map's entry, TensorProto, TensorShapeProto, Dim.
local INPUTS, VALUE, TENSOR_SHAPE, VARIANT_VAL, DIM, SIZE = 2, 2, 2, 15, 2, 1

local function read_varint(text, place)
  local value, factor = 0, 1
  for _ = 1, 10 do
    local byte = text:byte(place) or error("cut off")
    place = place + 1
    if byte < 128 then
      return value + byte * factor, place
    end
    value = value + (byte - 128) * factor
    factor = factor * 128
  end
  error("a number of more than ten bytes")
end

-- Calls visit(field, number, first, last) for each number and each piece of bytes of a message.
local function visit_fields(text, place, last, visit)
  while place <= last do
    local tag, value
    tag, place = read_varint(text, place)
    local field, kind = math.floor(tag / 8), tag % 8
    if tag >= 2 ^ 32 then -- readers drop what is above
      error("no field")
    elseif kind == 0 then
      value, place = read_varint(text, place)
      visit(field, value)
    elseif kind == 2 then
      value, place = read_varint(text, place)
      if place + value - 1 > last then
        error("cut off")
      end
      visit(field, nil, place, place + value - 1)
      place = place + value
    elseif kind == 1 then
      place = place + 8
    elseif kind == 5 then
      place = place + 4
    else
      error("a group")
    end
  end
end

-- The sizes that an input states. A field that is given twice adds to the first.
local function stated_sizes(text, first, last)
  local sizes = {}
  visit_fields(text, first, last, function(field, _, first, last)
    if field ~= VALUE or not first then
      return
    end
    visit_fields(text, first, last, function(field, _, first, last)
      if field == VARIANT_VAL then
        error("tensors in a tensor")
      elseif field == TENSOR_SHAPE and first then
        visit_fields(text, first, last, function(field, _, first, last)
          if field == DIM and first then
            local size = 0
            visit_fields(text, first, last, function(field, number)
              size = field == SIZE and number or size
            end)
            table.insert(sizes, size)
          end
        end)
      end
    end)
  end)
  return sizes
end

-- Why a message is refused; nil if it is not. Each value takes a byte or more of a message, so an
-- input of more values than the message has bytes is not all there.
local function problem_of(message)
  local problem
  visit_fields(message, 1, #message, function(field, _, first, last)
    if field ~= INPUTS or not first then
      return
    end
    local sizes = stated_sizes(message, first, last)
    local num_values = 1
    for _, size in ipairs(sizes) do
      num_values = num_values * math.max(size, 1) -- rows without values take memory, too
    end
    if (sizes[1] or 0) > MAX_ROWS and num_values <= #message then
      problem = "An input should have at most " .. MAX_ROWS .. " rows. Send less at once."
    elseif num_values > #message then
      problem = "An input should bring the values of the shape that it states."
    end
  end)
  return problem
end

function envoy_on_request(handle)
  if handle:headers():get(":path"):match("^[^?]*") ~= PREDICT then
    return
  end
  local body = handle:body(true)
  local frame = body:getBytes(0, body:length())
  local problem = "A request should be one message that is not compressed."
  -- A byte that is 1 for compressed messages, four bytes of length.
  local a, b, c, d = frame:byte(2, 5)
  if d and frame:byte(1) == 0 and #frame == 5 + ((a * 256 + b) * 256 + c) * 256 + d then
    local is_read, result = pcall(problem_of, frame:sub(6))
    problem = result
    if not is_read then
      problem = "A request should be a PredictRequest of plain tensors."
    end
  end
  if problem then
    handle:respond({
      [":status"] = "200",
      ["content-type"] = "application/grpc",
      ["grpc-status"] = INVALID_ARGUMENT,
      ["grpc-message"] = problem,
    })
  end
end
