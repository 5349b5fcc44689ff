"""Refuse requests for vectors and scores that the service refuses."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tests.emulator.chat_request import RecordedRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.retrieval_models import EMBEDDING_MODELS, RERANKERS, EmbeddingModel, RerankModel

EMBED_MEDIA = "/api/v1/services/embeddings/multimodal-embedding/multimodal-embedding"
EMBED_TEXT = "/api/v1/services/embeddings/text-embedding/text-embedding"
RERANK = "/api/v1/services/rerank/text-rerank/text-rerank"
RERANK_FLAT = "/compatible-api/v1/reranks"
ROUTES = (EMBED_MEDIA, EMBED_TEXT, RERANK, RERANK_FLAT)

_EMBED_PARAMETERS = {"dimension", "output_type", "fps", "instruct", "enable_fusion", "res_level", "max_video_frames"}
_TEXT_PARAMETERS = {"dimension", "output_type", "text_type", "instruct"}
_RERANK_PARAMETERS = {"top_n", "return_documents", "instruct", "fps"}


def refuse_retrieval(request: RecordedRequest, uploads: Collection[str]) -> ApiError | None:
    """Return the error of the first rule that a request violates; None if it violates none.

    Args:
        request: A request at one of `ROUTES`.
        uploads: The oss:// URLs of the files in temporary storage.
    """
    body = request.json
    if not isinstance(body, dict):
        return _invalid("Required body invalid, please check the request body format.")
    models: Mapping[str, Any] = EMBEDDING_MODELS if request.route in (EMBED_MEDIA, EMBED_TEXT) else RERANKERS
    model = models.get(body.get("model", ""))
    if model is None:
        return ApiError(404, "ModelNotFound", "model_not_found", "invalid_request_error", "Model can not be found.")
    message = _CHECKS[request.route](body, model) or _find_bad_url(body, request.headers, uploads)
    return _invalid(message) if message else None


def _invalid(message: str) -> ApiError:
    return invalid_parameter(message, from_algorithm=False)


def _check_media_embedding(body: dict[str, Any], model: EmbeddingModel) -> str | None:
    if not model.keys:
        return "url error, please check url!"
    if set(body) != {"model", "input", "parameters"} or set(body["input"]) != {"contents"}:
        return "Unexpected fields in the request."
    contents, parameters = body["input"]["contents"], body["parameters"]
    if not isinstance(contents, list) or not contents:
        return "input.contents must be a list that is not empty."
    fuses = parameters.get("enable_fusion", False)
    if fuses and not model.fuses_request:
        return "enable_fusion is not supported by this model."
    return (
        _check_parameters(parameters, _EMBED_PARAMETERS, model)
        or next((message for content in contents if (message := _check_content(content, model))), None)
        or _check_counts(contents, model)
    )


def _check_content(content: Any, model: EmbeddingModel) -> str | None:
    if not isinstance(content, dict) or not content or set(content) - model.keys:
        return f"each content needs one of {sorted(model.keys)}."
    if len(content) > 1 and not model.merges_keys:
        return "each content holds one modality."
    if "text" in content and not (isinstance(content["text"], str) and content["text"].strip()):
        return "text must not be empty."
    if len(content.get("multi_images", [])) > 8:
        return "multi_images holds at most 8 images."
    return None


def _check_counts(contents: list[dict[str, Any]], model: EmbeddingModel) -> str | None:
    images = [url for content in contents for url in _find_images(content)]
    videos = [content["video"] for content in contents if "video" in content]
    if model.fuses_always and max(sum(kind in content for content in contents) for kind in model.keys) > 1:
        return "at most one text, one image and one video."
    for name, number, limit in (
        ("contents", len(contents), model.max_items),
        ("images", len(images), model.max_images),
        ("videos", len(videos), model.max_videos),
    ):
        if number > limit:
            return f"The number of {name} should not exceed {limit}."
    if any(_decoded_size(url) > model.max_image_bytes for url in images):
        return "Exceeded limit on the size of an image."
    return "A video must be a URL." if any(url.startswith("data:") for url in videos) else None


def _find_images(content: Mapping[str, Any]) -> list[str]:
    return [content["image"]] if "image" in content else list(content.get("multi_images", []))


def _decoded_size(url: str) -> int:
    return len(base64.b64decode(url.partition(",")[2])) if url.startswith("data:") else 0


def _check_text_embedding(body: dict[str, Any], model: EmbeddingModel) -> str | None:
    if model.keys:
        return "url error, please check url!"
    texts, parameters = body["input"].get("texts"), body.get("parameters", {})
    if not isinstance(texts, list) or not 0 < len(texts) <= model.max_items:
        return f"batch size is invalid, it should not be larger than {model.max_items}."
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return "texts must not be empty."
    if parameters.get("text_type", "document") not in ("query", "document"):
        return "text_type must be query or document."
    if "instruct" in parameters and parameters.get("text_type") != "query":
        return "instruct needs text_type query."
    return _check_parameters(parameters, _TEXT_PARAMETERS, model)


def _check_parameters(parameters: Mapping[str, Any], known: set[str], model: EmbeddingModel) -> str | None:
    unknown = set(parameters) - known
    if unknown:
        return f"Unexpected parameters: {sorted(unknown)}."
    if parameters.get("dimension", model.dimensions[0]) not in model.dimensions:
        return f"dimension should be one of {list(model.dimensions)}."
    if "instruct" in parameters and not model.instruct:
        return "instruct is not supported by this model."
    return None if 0 <= parameters.get("fps", 0) <= 1 else "fps should be in [0, 1]."


def _check_rerank(body: dict[str, Any], model: RerankModel) -> str | None:
    if model.flat:
        return "url error, please check url!"
    unknown = set(body["parameters"]) - _RERANK_PARAMETERS
    if unknown:
        return f"Unexpected parameters: {sorted(unknown)}."
    return _check_ranked(body["input"].get("query"), body["input"].get("documents"), body["parameters"], model)


def _check_flat_rerank(body: dict[str, Any], model: RerankModel) -> str | None:
    if not model.flat:
        return "url error, please check url!"
    if set(body) - {"model", "query", "documents", *_RERANK_PARAMETERS}:
        return "Unexpected fields in the request."
    return _check_ranked(body.get("query"), body.get("documents"), body, model)


def _check_ranked(query: Any, documents: Any, parameters: Mapping[str, Any], model: RerankModel) -> str | None:
    if not query or not isinstance(documents, list) or not documents:
        return "query and documents are required."
    kinds = ["text" if isinstance(document, str) else next(iter(document)) for document in documents]
    for kind, limit in (("text", model.max_texts), ("image", model.max_images), ("video", model.max_videos)):
        if kinds.count(kind) > limit:
            return f"The number of {kind} documents should not exceed {limit}."
    if parameters.get("top_n", 1) < 1:
        return "top_n should be positive."
    return None if isinstance(query, str) or model.max_images else "query must be a string."


def _find_bad_url(body: Any, headers: Mapping[str, str], uploads: Collection[str]) -> str | None:
    """Return the message about the first URL that the service can't read."""
    for key, value in _iterate_strings(body.get("input", body)):
        if key not in ("image", "video", "multi_images"):
            continue
        if value.startswith("oss://"):
            if headers.get("x-dashscope-ossresourceresolve") != "enable" or value not in uploads:
                return "Failed to download multimodal content."
        elif not value.startswith(("http://", "https://", "data:")):
            return "The provided URL does not appear to be valid."
    return None


def _iterate_strings(value: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(key, value)]
    if isinstance(value, dict):
        return [pair for name, item in value.items() for pair in _iterate_strings(item, name)]
    return [pair for item in value for pair in _iterate_strings(item, key)] if isinstance(value, list) else []


_CHECKS: dict[str, Callable[[dict[str, Any], Any], str | None]] = {
    EMBED_MEDIA: _check_media_embedding,
    EMBED_TEXT: _check_text_embedding,
    RERANK: _check_rerank,
    RERANK_FLAT: _check_flat_rerank,
}
