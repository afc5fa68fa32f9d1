"""The bundled OpenID Connect identity provider: strict by default, adversarial only when a test asks for it.

It shares no code with `secure_api`: a bug in one must not be confirmed by the same bug in the other.
"""
